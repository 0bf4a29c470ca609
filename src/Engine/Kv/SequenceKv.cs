using System.Runtime.InteropServices;

namespace Grok1Cluster.Engine.Kv;

/// <summary>The KV blocks of one sequence, in order of position.</summary>
public sealed class SequenceKv(KvBlockPool pool) : IDisposable
{
    private readonly List<nint> _blocks = [];

    /// <summary>Positions whose keys and values are stored.</summary>
    public int Length { get; private set; }

    public ReadOnlySpan<nint> Blocks => CollectionsMarshal.AsSpan(_blocks);

    /// <summary>Takes the blocks that <paramref name="tokens"/> more positions need; false, and no change, when there are too few.</summary>
    public bool TryReserve(int tokens)
    {
        var more = KvBlockPool.BlocksFor(Length + tokens) - _blocks.Count;
        if (more > pool.Free)
            return false;
        for (; more > 0 && pool.TryTake(out var block); more--)
            _blocks.Add(block);
        return true;
    }

    /// <summary>Counts positions as stored, after a step wrote them.</summary>
    public void Advance(int tokens) => Length += tokens;

    public void Dispose()
    {
        foreach (var block in _blocks)
            pool.Return(block);
        _blocks.Clear();
        Length = 0;
    }
}
