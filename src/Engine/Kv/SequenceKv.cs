using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.KvCache;

namespace Grok1Cluster.Engine.Kv;

/// <summary>The KV blocks of one sequence, in order of position. Used by the engine's thread only.</summary>
public sealed class SequenceKv(KvBlockPool pool) : IDisposable
{
    private readonly List<int> _blocks = [];
    private readonly List<nint> _addresses = [];
    private int _remembered;
    private long _prefix;

    /// <summary>Positions whose keys and values are stored.</summary>
    public int Length { get; private set; }

    /// <summary>Address of each block.</summary>
    public ReadOnlySpan<nint> Blocks => CollectionsMarshal.AsSpan(_addresses);

    /// <summary>Takes over the cached blocks of a prefix; only an empty sequence can.</summary>
    /// <param name="tokens">The sequence's tokens; at least the last one is left to compute.</param>
    /// <returns>Positions that need not be computed.</returns>
    public int Adopt(ReadOnlySpan<int> tokens)
    {
        while (Length + KvBlockLayout.Tokens < tokens.Length && pool.Prefixes.Find(_prefix, tokens.Slice(Length, KvBlockLayout.Tokens)) is var (id, block))
        {
            pool.Share(block);
            Append(block);
            _prefix = id;
            _remembered++;
            Length += KvBlockLayout.Tokens;
        }
        return Length;
    }

    /// <summary>Takes the blocks that <paramref name="tokens"/> more positions need; false, and no change, when there are too few.</summary>
    public bool TryReserve(int tokens)
    {
        var more = KvBlockPool.BlocksFor(Length + tokens) - _blocks.Count;
        if (more > pool.Available)
            return false;
        for (; more > 0 && pool.TryTake(out var block); more--)
            Append(block);
        return true;
    }

    /// <summary>Counts positions as stored, after a step wrote them, and lets the prefix cache know of full blocks.</summary>
    /// <param name="tokens">Positions.</param>
    /// <param name="all">The sequence's tokens, these included.</param>
    public void Advance(int tokens, ReadOnlySpan<int> all)
    {
        Length += tokens;
        for (; (_remembered + 1) * KvBlockLayout.Tokens <= Length; _remembered++)
            _prefix = pool.Prefixes.Add(_prefix, all.Slice(_remembered * KvBlockLayout.Tokens, KvBlockLayout.Tokens), _blocks[_remembered]);
    }

    /// <summary>Gives every block back; the sequence can start again from nothing.</summary>
    public void Clear()
    {
        // The last first, so that a prefix outlives what follows it.
        for (var i = _blocks.Count - 1; i >= 0; i--)
            pool.Release(_blocks[i]);
        _blocks.Clear();
        _addresses.Clear();
        (Length, _remembered, _prefix) = (0, 0, 0);
    }

    public void Dispose() => Clear();

    private void Append(int block)
    {
        _blocks.Add(block);
        _addresses.Add(pool.Address(block));
    }
}
