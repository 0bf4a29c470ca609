using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.KvCache;

namespace Grok1Cluster.Kernels.Tests;

/// <summary>
/// One sequence's KV cache with random keys and values in blocks that do not lie in order. Slots never written hold NaN,
/// and so does the memory on both sides of every block: a kernel that looks where it must not shows it.
/// </summary>
internal sealed unsafe class KvCacheFixture : IDisposable
{
    private const int Guard = 64;
    private readonly List<nint> _memory = [];

    public KvCacheFixture(KvBlockLayout layout, int positions, int seed)
    {
        Layout = layout;
        Positions = positions;
        int count = (positions + KvBlockLayout.Tokens - 1) / KvBlockLayout.Tokens;
        for (int i = 0; i < count; i++)
        {
            int bytes = layout.BlockBytes + 2 * Guard;
            var memory = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
            new Span<byte>(memory, bytes).Fill(0xFF);
            _memory.Add((nint)memory);
        }
        Blocks = [.. _memory.Select(m => m + Guard).Reverse()];
        Keys = TestNumbers.Normal(positions * Width, seed);
        Values = TestNumbers.Normal(positions * Width, seed + 1);
        for (int position = 0; position < positions; position++)
        {
            nint block = Blocks[position / KvBlockLayout.Tokens];
            layout.StoreKey(block, position % KvBlockLayout.Tokens, Keys.AsSpan(position * Width, Width));
            layout.StoreValue(block, position % KvBlockLayout.Tokens, Values.AsSpan(position * Width, Width));
        }
    }

    public KvBlockLayout Layout { get; }

    public int Positions { get; }

    public nint[] Blocks { get; }

    /// <summary>[positions, KvHeads, HeadDim], as given to the cache.</summary>
    public float[] Keys { get; }

    /// <summary>[positions, KvHeads, HeadDim], as given to the cache.</summary>
    public float[] Values { get; }

    private int Width => Layout.KvHeads * Layout.HeadDim;

    public bool GuardsAreIntact() => _memory.All(m =>
        new Span<byte>((byte*)m, Guard).IndexOfAnyExcept((byte)0xFF) < 0
        && new Span<byte>((byte*)m + Guard + Layout.BlockBytes, Guard).IndexOfAnyExcept((byte)0xFF) < 0);

    public void Dispose()
    {
        foreach (nint memory in _memory)
            NativeMemory.AlignedFree((void*)memory);
    }
}
