using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine.Kv;

/// <summary>
/// KV memory in blocks of 32 positions (all layers), counted by reference so that sequences share the blocks of a common
/// prefix. Their memory is where attention computes: this class hands out addresses and follows none. A block that nobody references
/// but the prefix cache knows stays until its memory is needed. Used by the engine's thread only.
/// </summary>
public sealed class KvBlockPool : IDisposable
{
    private readonly IKvMemory _memory;
    private readonly long _blockBytes;
    private readonly int[] _references;
    private readonly Stack<int> _free;

    /// <param name="layers">Knows a block's size, and where blocks have to be.</param>
    /// <param name="blocks">Blocks, at least one.</param>
    public KvBlockPool(IDenseLayers layers, int blocks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(blocks, 1);
        _blockBytes = layers.KvBlockBytes;
        _memory = layers.AllocateKv(checked(_blockBytes * blocks));
        _references = new int[blocks];
        _free = new Stack<int>(blocks);
        for (var block = blocks - 1; block >= 0; block--)
            _free.Push(block);
        Prefixes = new PrefixCache();
    }

    /// <summary>Blocks in all.</summary>
    public int Capacity => _references.Length;

    /// <summary>Positions in all blocks.</summary>
    public int Positions => (int)Math.Min((long)Capacity * KvBlockLayout.Tokens, int.MaxValue);

    /// <summary>Blocks that can be had: free, or held by the prefix cache alone.</summary>
    public int Available => _free.Count + Prefixes.IdleBlocks;

    /// <summary>Full blocks of earlier sequences, by their tokens.</summary>
    public PrefixCache Prefixes { get; }

    /// <summary>Blocks that hold a number of positions.</summary>
    public static int BlocksFor(int positions) => (int)(((long)positions + KvBlockLayout.Tokens - 1) / KvBlockLayout.Tokens);

    /// <summary>Where a block lies.</summary>
    public nint Address(int block) => _memory.Address + (nint)(block * _blockBytes);

    /// <summary>Takes a block for one reference; the prefix cache gives up its oldest idle one when none is free.</summary>
    public bool TryTake(out int block)
    {
        if (!_free.TryPop(out block) && !Prefixes.TryEvict(out block))
            return false;
        _references[block] = 1;
        return true;
    }

    /// <summary>One more reference to a block.</summary>
    public void Share(int block)
    {
        if (_references[block]++ == 0)
            Prefixes.Wake(block);
    }

    /// <summary>One reference less; the last one leaves the block to the prefix cache, or frees it.</summary>
    public void Release(int block)
    {
        if (--_references[block] == 0 && !Prefixes.TrySleep(block))
            _free.Push(block);
    }

    public void Dispose() => _memory.Dispose();
}
