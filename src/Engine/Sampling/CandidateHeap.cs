namespace Grok1Cluster.Engine.Sampling;

/// <summary>
/// Gives tokens by falling logit, the lower id first among equals, without sorting all of them: n tokens are put in
/// order of heap in O(n), and each one taken costs O(log n). A token is one number: its logit, mapped so that unsigned
/// order is the order of floats, above its inverted id.
/// </summary>
internal ref struct CandidateHeap
{
    private readonly Span<ulong> _keys;

    /// <summary>Tokens taken so far; they lie at the end of the keys, the best one last.</summary>
    private int _taken;

    /// <param name="keys">Made by <see cref="Key"/>; reordered.</param>
    public CandidateHeap(Span<ulong> keys)
    {
        _keys = keys;
        for (var parent = keys.Length / 2 - 1; parent >= 0; parent--)
            SiftDown(parent, keys.Length);
    }

    /// <summary>What stands for a token here.</summary>
    public static ulong Key(float logit, int token)
    {
        var bits = BitConverter.SingleToUInt32Bits(logit + 0f); // -0 becomes 0, to which it is equal
        var rising = (bits & 0x8000_0000) != 0 ? ~bits : bits | 0x8000_0000;
        return (ulong)rising << 32 | ~(uint)token;
    }

    public static int TokenOf(ulong key) => (int)~(uint)key;

    /// <summary>The token with this many better ones, which are put in order as far as needed.</summary>
    public int TokenAt(int rank)
    {
        for (; _taken <= rank; _taken++)
        {
            var last = _keys.Length - 1 - _taken;
            (_keys[0], _keys[last]) = (_keys[last], _keys[0]);
            SiftDown(0, last);
        }
        return TokenOf(_keys[_keys.Length - 1 - rank]);
    }

    private readonly void SiftDown(int parent, int count)
    {
        var key = _keys[parent];
        while (2 * parent + 1 < count)
        {
            var child = 2 * parent + 1;
            if (child + 1 < count && _keys[child + 1] > _keys[child])
                child++;
            if (_keys[child] <= key)
                break;
            _keys[parent] = _keys[child];
            parent = child;
        }
        _keys[parent] = key;
    }
}
