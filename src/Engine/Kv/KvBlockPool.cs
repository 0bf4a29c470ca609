using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Engine.Kv;

/// <summary>
/// KV memory in blocks of 32 positions (all layers), so that sequences of any length share it without gaps. Memory is
/// reserved at once and committed by the system as blocks are first used.
/// </summary>
public sealed unsafe class KvBlockPool : IDisposable
{
    private readonly NativeBuffer<byte> _memory;
    private readonly Stack<nint> _free;

    /// <param name="blockBytes">Bytes of a block, a multiple of 64.</param>
    /// <param name="blocks">Blocks, at least one.</param>
    public KvBlockPool(long blockBytes, int blocks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(blocks, 1);
        _memory = new NativeBuffer<byte>(checked(blockBytes * blocks));
        _free = new Stack<nint>(blocks);
        for (var block = blocks - 1; block >= 0; block--)
            _free.Push((nint)(_memory.Pointer + block * blockBytes));
        Capacity = blocks;
    }

    /// <summary>Blocks in all.</summary>
    public int Capacity { get; }

    /// <summary>Blocks not in use.</summary>
    public int Free => _free.Count;

    /// <summary>Blocks that hold a number of positions.</summary>
    public static int BlocksFor(int positions) => (positions + KvBlockLayout.Tokens - 1) / KvBlockLayout.Tokens;

    /// <summary>Takes a block; false when none is free.</summary>
    public bool TryTake(out nint block) => _free.TryPop(out block);

    public void Return(nint block) => _free.Push(block);

    public void Dispose() => _memory.Dispose();
}
