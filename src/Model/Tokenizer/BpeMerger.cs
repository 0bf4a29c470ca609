namespace Grok1Cluster.Model.Tokenizer;

/// <summary>
/// Byte-pair merging as in SentencePiece's <c>bpe_model.cc</c> (<c>Model::SampleEncode</c> without dropout): of all
/// neighbours whose concatenation is a piece, the pair with the highest score is merged, the leftmost of equals, until
/// none is left. A symbol is known by the place of its first unit; a heap holds the candidate merges, and those that
/// have meanwhile lost a part are recognised by their length when they come up. O(n log n) for n units.
/// Not thread-safe: it keeps its buffers.
/// </summary>
internal sealed class BpeMerger(PieceVocabulary pieces)
{
    /// <summary>Units in the symbol that starts here; read only at starts.</summary>
    private int[] _lengths = [];

    /// <summary>The start of the symbol before the one that starts here; -1 for the first.</summary>
    private int[] _previous = [];

    /// <summary>The piece of the symbol that starts here.</summary>
    private int[] _ids = [];

    /// <summary>The piece a merge would give, ordered by falling score, then by place.</summary>
    private readonly PriorityQueue<int, ulong> _candidates = new();

    /// <summary>For an unused piece, the units of its left part: the merges inside one text are always the same.</summary>
    private readonly Dictionary<int, int> _unusedSplits = [];

    /// <summary>The longest text merged so far.</summary>
    public int Capacity => _ids.Length;

    /// <summary>Merges a part of the normalised text that holds no user-defined piece.</summary>
    /// <param name="text">Not empty; well-formed UTF-16.</param>
    public void Merge(ReadOnlySpan<char> text, PieceWriter output)
    {
        Reserve(text.Length);
        var last = SplitIntoCharacters(text);
        for (var left = 0; left < last; left += _lengths[left])
            AddCandidate(text, left);

        while (_candidates.TryDequeue(out var id, out var priority))
        {
            var left = (int)(uint)priority;
            var right = left + _lengths[left];
            if (_lengths[left] == 0 || right >= text.Length || _lengths[left] + _lengths[right] != pieces[id].Text.Length)
                continue;
            if (pieces[id].Type == PieceType.Unused)
                _unusedSplits[id] = _lengths[left];

            _ids[left] = id;
            _lengths[left] += _lengths[right];
            _lengths[right] = 0;
            var next = left + _lengths[left];
            if (next < text.Length)
            {
                _previous[next] = left;
                AddCandidate(text, left);
            }
            if (_previous[left] >= 0)
                AddCandidate(text, _previous[left]);
        }

        for (var start = 0; start < text.Length; start += _lengths[start])
            Write(_ids[start], text.Slice(start, _lengths[start]), output);
    }

    /// <returns>The start of the last symbol.</returns>
    private int SplitIntoCharacters(ReadOnlySpan<char> text)
    {
        var previous = -1;
        for (var start = 0; start < text.Length; start += _lengths[start])
        {
            var length = char.IsHighSurrogate(text[start]) ? 2 : 1;
            _lengths[start] = length;
            if (length == 2)
                _lengths[start + 1] = 0;
            _ids[start] = pieces.IdOrUnknown(text.Slice(start, length));
            _previous[start] = previous;
            previous = start;
        }
        return previous;
    }

    private void AddCandidate(ReadOnlySpan<char> text, int left)
    {
        var length = _lengths[left] + _lengths[left + _lengths[left]];
        if (pieces.TryGetMergeable(text.Slice(left, length), out var id))
            _candidates.Enqueue(id, Priority(pieces[id].Score, left));
    }

    /// <summary>Smaller is sooner: the bits of the score, mapped so that higher scores are smaller numbers, then the place.</summary>
    private static ulong Priority(float score, int left)
    {
        var bits = BitConverter.SingleToUInt32Bits(score + 0f); // -0 becomes 0, to which it is equal
        var falling = (bits & 0x8000_0000) != 0 ? bits : ~bits & 0x7FFF_FFFF;
        return (ulong)falling << 32 | (uint)left;
    }

    private void Write(int id, ReadOnlySpan<char> text, PieceWriter output)
    {
        if (pieces[id].Type == PieceType.Unused && _unusedSplits.TryGetValue(id, out var split))
        {
            Write(pieces.IdOrUnknown(text[..split]), text[..split], output);
            Write(pieces.IdOrUnknown(text[split..]), text[split..], output);
        }
        else
        {
            output.Write(id, text);
        }
    }

    private void Reserve(int length)
    {
        if (length <= _ids.Length)
            return;
        var capacity = Math.Max(length, Math.Min(2 * _ids.Length, Array.MaxLength));
        _lengths = new int[capacity];
        _previous = new int[capacity];
        _ids = new int[capacity];
    }
}
