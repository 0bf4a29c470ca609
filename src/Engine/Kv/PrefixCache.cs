namespace Grok1Cluster.Engine.Kv;

/// <summary>
/// Finds full KV blocks by the tokens that lead to them. A block is found from its parent's entry and its own 32 tokens,
/// which are compared one by one, so a hit is exact. Entries whose parent is gone cannot be found and age out. A cached
/// block has the bits that computing it again would give.
/// </summary>
public sealed class PrefixCache
{
    private readonly Dictionary<(long Parent, int Hash), Entry> _byKey = [];
    private readonly Dictionary<int, Entry> _byBlock = [];
    private readonly LinkedList<Entry> _idle = new();
    private long _lastId;

    /// <summary>Blocks that only the cache holds.</summary>
    public int IdleBlocks => _idle.Count;

    /// <summary>An entry: its id is the parent of the next block's.</summary>
    /// <param name="parent">Id of the block before, 0 for the first.</param>
    /// <param name="tokens">The block's tokens, a full block.</param>
    /// <returns>The entry's id and block, or null.</returns>
    public (long Id, int Block)? Find(long parent, ReadOnlySpan<int> tokens) =>
        _byKey.TryGetValue((parent, Hash(tokens)), out var entry) && tokens.SequenceEqual(entry.Tokens) ? (entry.Id, entry.Block) : null;

    /// <summary>Remembers a full block that a sequence holds.</summary>
    /// <returns>The id under which the next block goes: that of an equal entry if there is one.</returns>
    public long Add(long parent, ReadOnlySpan<int> tokens, int block)
    {
        if (Find(parent, tokens) is var (id, _))
            return id;
        var entry = new Entry(++_lastId, (parent, Hash(tokens)), tokens.ToArray(), block);
        // Other tokens with this hash keep their place: then this block, and what follows it, is not found again.
        if (_byKey.TryAdd(entry.Key, entry))
            _byBlock.Add(block, entry);
        return entry.Id;
    }

    /// <summary>Gives up the idle block that was used longest ago.</summary>
    internal bool TryEvict(out int block)
    {
        block = 0;
        if (_idle.First is not { Value: var oldest })
            return false;
        _idle.RemoveFirst();
        _byKey.Remove(oldest.Key);
        _byBlock.Remove(oldest.Block);
        block = oldest.Block;
        return true;
    }

    /// <summary>A block that the cache knows has lost its last sequence; false when it is not known.</summary>
    internal bool TrySleep(int block)
    {
        if (!_byBlock.TryGetValue(block, out var entry))
            return false;
        entry.Idle = _idle.AddLast(entry);
        return true;
    }

    /// <summary>A block is held by a sequence again.</summary>
    internal void Wake(int block)
    {
        var entry = _byBlock[block];
        _idle.Remove(entry.Idle!);
        entry.Idle = null;
    }

    private static int Hash(ReadOnlySpan<int> tokens)
    {
        var hash = new HashCode();
        foreach (var token in tokens)
            hash.Add(token);
        return hash.ToHashCode();
    }

    private sealed record Entry(long Id, (long Parent, int Hash) Key, int[] Tokens, int Block)
    {
        /// <summary>Its place among the idle blocks; null while a sequence holds the block.</summary>
        public LinkedListNode<Entry>? Idle { get; set; }
    }
}
