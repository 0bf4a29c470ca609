using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;
using static Grok1Cluster.Kernels.MatMul.VnniTiles;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// Several rows with AVX-VNNI: tiles of two or three rows share the weights that are unpacked in registers. A few blocks at
/// a time stay in L1 for all tiles; the first tile brings the next ones there.
/// </summary>
internal static unsafe partial class Int4BlockProduct
{
    /// <summary>Blocks that every tile takes before the next are read: 4.5 KiB.</summary>
    private const int TileBlocks = 8;

    /// <summary>How far ahead the first tile asks for weights.</summary>
    private const int TileAheadBytes = TileBlocks * PanelLayout.Int4BlockBytes;

    /// <summary>Two rows or more.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TilesVnni(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        var run = w;
        for (var first = w.FirstBlock; first < w.EndBlock; first = run.EndBlock)
        {
            run.FirstBlock = first;
            run.EndBlock = Math.Min(first + TileBlocks, w.EndBlock);
            var row = count == 2 || count == 4 ? 2 : 3;
            if (row == 2)
                TileVnni<FirstTwo>(run, x, rows, y, stride);
            else
                TileVnni<FirstThree>(run, x, rows, y, stride);
            // Two tiles of two rows are better than three rows and one.
            for (; count - row >= 3 && count - row != 4; row += 3)
                TileVnni<Three>(run, x, rows + row, y + row * stride, stride);
            for (; count - row >= 2; row += 2)
                TileVnni<Two>(run, x, rows + row, y + row * stride, stride);
            if (row < count)
                TileVnni<One>(run, x, rows + row, y + row * stride, stride);
            run.Weights += (long)(run.EndBlock - first) * PanelLayout.Int4BlockBytes;
        }
    }

    /// <summary>Some blocks for one to three rows. What a smaller tile lacks, the JIT leaves out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TileVnni<TTile>(in PanelOperands w, Activations x, int* rows, float* y, long stride)
        where TTile : IVnniTile
    {
        long row0 = rows[0], row1 = TTile.Rows > 1 ? rows[1] : row0, row2 = TTile.Rows > 2 ? rows[2] : row0;
        long paddedLength = x.Axis.PaddedLength, blockCount = x.Axis.BlockCount;
        var four = Vector256.Create((byte)0x0F);
        var weights = w.Weights;
        var values = x.Values + w.Blocks[w.FirstBlock].PaddedStart;
        sbyte* x0 = values + row0 * paddedLength, x1 = values + row1 * paddedLength, x2 = values + row2 * paddedLength;
        int* sums0 = x.Sums + row0 * blockCount, sums1 = x.Sums + row1 * blockCount, sums2 = x.Sums + row2 * blockCount;
        float* scales0 = x.Scales + row0 * blockCount, scales1 = x.Scales + row1 * blockCount, scales2 = x.Scales + row2 * blockCount;
        for (long block = w.FirstBlock, end = w.EndBlock; block < end; block++)
        {
            var a0 = Vector256.Create(sums0[block] * -PanelLayout.Int4Offset);
            var b0 = TTile.Rows > 1 ? Vector256.Create(sums1[block] * -PanelLayout.Int4Offset) : default;
            var c0 = TTile.Rows > 2 ? Vector256.Create(sums2[block] * -PanelLayout.Int4Offset) : default;
            var (a1, b1, c1) = (a0, b0, c0);
            var (a2, b2, c2) = (a0, b0, c0);
            var (a3, b3, c3) = (a0, b0, c0);
            for (var step = 0; step < WeightFormats.Int4Group / 8; step++, weights += 128, x0 += 8, x1 += 8, x2 += 8)
            {
                if (TTile.Prefetches)
                {
                    Sse.Prefetch0(weights + TileAheadBytes);
                    Sse.Prefetch0(weights + TileAheadBytes + 64);
                }
                var a = Broadcast(x0);
                var b = TTile.Rows > 1 ? Broadcast(x1) : default;
                var c = TTile.Rows > 2 ? Broadcast(x2) : default;
                Add<TTile>(Vector256.Load(weights) & four, a, b, c, ref a0, ref b0, ref c0);
                Add<TTile>(Vector256.Load(weights + 32) & four, a, b, c, ref a1, ref b1, ref c1);
                Add<TTile>(Vector256.Load(weights + 64) & four, a, b, c, ref a2, ref b2, ref c2);
                Add<TTile>(Vector256.Load(weights + 96) & four, a, b, c, ref a3, ref b3, ref c3);
                a = Broadcast(x0 + 4);
                b = TTile.Rows > 1 ? Broadcast(x1 + 4) : default;
                c = TTile.Rows > 2 ? Broadcast(x2 + 4) : default;
                Add<TTile>(High(weights) & four, a, b, c, ref a0, ref b0, ref c0);
                Add<TTile>(High(weights + 32) & four, a, b, c, ref a1, ref b1, ref c1);
                Add<TTile>(High(weights + 64) & four, a, b, c, ref a2, ref b2, ref c2);
                Add<TTile>(High(weights + 96) & four, a, b, c, ref a3, ref b3, ref c3);
            }
            var scales = (ushort*)weights;
            weights += PanelLayout.Columns * sizeof(ushort);
            var scale0 = Vector256.Create(scales0[block]);
            var scale1 = TTile.Rows > 1 ? Vector256.Create(scales1[block]) : default;
            var scale2 = TTile.Rows > 2 ? Vector256.Create(scales2[block]) : default;
            Finish<TTile>(scales, scale0, scale1, scale2, a0, b0, c0, y, stride);
            Finish<TTile>(scales + 8, scale0, scale1, scale2, a1, b1, c1, y + 8, stride);
            Finish<TTile>(scales + 16, scale0, scale1, scale2, a2, b2, c2, y + 16, stride);
            Finish<TTile>(scales + 24, scale0, scale1, scale2, a3, b3, c3, y + 24, stride);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> High(byte* weights) => (Vector256.Load((ushort*)weights) >>> 4).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TTile>(Vector256<byte> weights, Vector256<sbyte> a, Vector256<sbyte> b, Vector256<sbyte> c,
        ref Vector256<int> sumA, ref Vector256<int> sumB, ref Vector256<int> sumC)
        where TTile : IVnniTile
    {
        sumA = AvxVnni.MultiplyWideningAndAdd(sumA, weights, a);
        if (TTile.Rows > 1)
            sumB = AvxVnni.MultiplyWideningAndAdd(sumB, weights, b);
        if (TTile.Rows > 2)
            sumC = AvxVnni.MultiplyWideningAndAdd(sumC, weights, c);
    }

    /// <summary>Eight columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<TTile>(ushort* scales, Vector256<float> scaleA, Vector256<float> scaleB, Vector256<float> scaleC,
        Vector256<int> a, Vector256<int> b, Vector256<int> c, float* y, long stride)
        where TTile : IVnniTile
    {
        var weightScale = Bf16.Load8(scales);
        Finish(a, weightScale * scaleA, y);
        if (TTile.Rows > 1)
            Finish(b, weightScale * scaleB, y + stride);
        if (TTile.Rows > 2)
            Finish(c, weightScale * scaleC, y + 2 * stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector256<int> dot, Vector256<float> scale, float* y) =>
        Fma.MultiplyAdd(Vector256.ConvertToSingle(dot), scale, Vector256.Load(y)).Store(y);
}
