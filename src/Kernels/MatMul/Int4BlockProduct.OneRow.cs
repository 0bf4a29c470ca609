using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// One row: a vector of packed weights is masked to four rows of K and shifted to the next four. Accumulators start at -8
/// times the sum of the block's activations, which undoes the offset exactly, and the result stays in registers along K.
/// </summary>
internal static unsafe partial class Int4BlockProduct
{
    /// <summary>
    /// How far ahead weights are asked for, 9 KiB: unpacking leaves the processor less room to look ahead by itself than
    /// int8 does.
    /// </summary>
    private const int AheadBytes = 16 * PanelLayout.Int4BlockBytes;

    /// <summary>How eight rows of K are multiplied and added, as a type, so that one source gives a kernel for each.</summary>
    private interface IDot
    {
        /// <summary>Adds low * x + high * y, 32-bit lane by lane; weights are at most 15.</summary>
        static abstract Vector256<int> Add(Vector256<int> sum, Vector256<byte> low, Vector256<sbyte> x, Vector256<byte> high, Vector256<sbyte> y);
    }

    private readonly struct VnniDot : IDot
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Add(Vector256<int> sum, Vector256<byte> low, Vector256<sbyte> x, Vector256<byte> high, Vector256<sbyte> y) =>
            AvxVnni.MultiplyWideningAndAdd(AvxVnni.MultiplyWideningAndAdd(sum, low, x), high, y);
    }

    /// <summary>The 16-bit sums are at most 4 * 15 * 127 = 7620, so they never saturate.</summary>
    private readonly struct Avx2Dot : IDot
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<int> Add(Vector256<int> sum, Vector256<byte> low, Vector256<sbyte> x, Vector256<byte> high, Vector256<sbyte> y) =>
            sum + Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(low, x) + Avx2.MultiplyAddAdjacent(high, y), Vector256<short>.One);
    }

    /// <summary>One row over panels that follow each other in memory: the weights are one stream.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneRow<TDot>(in PanelOperands w, int panels, Activations x, int row, float* y, long panelStride)
        where TDot : IDot
    {
        var values = x.Values + (long)row * x.Axis.PaddedLength;
        var scales = x.Scales + (long)row * x.Axis.BlockCount;
        var sums = x.Sums + (long)row * x.Axis.BlockCount;
        var four = Vector256.Create((byte)0x0F);
        var weights = w.Weights;
        for (var panel = 0; panel < panels; panel++, y += panelStride)
        {
            var y0 = Vector256.Load(y);
            var y1 = Vector256.Load(y + 8);
            var y2 = Vector256.Load(y + 16);
            var y3 = Vector256.Load(y + 24);
            for (var b = w.FirstBlock; b < w.EndBlock; b++)
            {
                ref readonly var block = ref w.Blocks[b];
                var d0 = Vector256.Create(sums[b] * -PanelLayout.Int4Offset);
                var d1 = d0;
                var d2 = d0;
                var d3 = d0;
                var eight = values + block.PaddedStart;
                for (var end = eight + WeightFormats.Int4Group; eight < end; eight += 8, weights += 128)
                {
                    Sse.Prefetch0(weights + AheadBytes);
                    Sse.Prefetch0(weights + AheadBytes + 64);
                    var low = Vector256.Create(Unsafe.ReadUnaligned<int>(eight)).AsSByte();
                    var high = Vector256.Create(Unsafe.ReadUnaligned<int>(eight + 4)).AsSByte();
                    d0 = Add<TDot>(d0, weights, four, low, high);
                    d1 = Add<TDot>(d1, weights + 32, four, low, high);
                    d2 = Add<TDot>(d2, weights + 64, four, low, high);
                    d3 = Add<TDot>(d3, weights + 96, four, low, high);
                }
                var weightScales = (ushort*)weights;
                weights += PanelLayout.Columns * sizeof(ushort);
                var scale = Vector256.Create(scales[b]);
                y0 = Fma.MultiplyAdd(Vector256.ConvertToSingle(d0), scale * Bf16.Load8(weightScales), y0);
                y1 = Fma.MultiplyAdd(Vector256.ConvertToSingle(d1), scale * Bf16.Load8(weightScales + 8), y1);
                y2 = Fma.MultiplyAdd(Vector256.ConvertToSingle(d2), scale * Bf16.Load8(weightScales + 16), y2);
                y3 = Fma.MultiplyAdd(Vector256.ConvertToSingle(d3), scale * Bf16.Load8(weightScales + 24), y3);
            }
            y0.Store(y);
            y1.Store(y + 8);
            y2.Store(y + 16);
            y3.Store(y + 24);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Add<TDot>(Vector256<int> sum, byte* weights, Vector256<byte> four, Vector256<sbyte> low, Vector256<sbyte> high)
        where TDot : IDot
    {
        var both = Vector256.Load(weights);
        return TDot.Add(sum, both & four, low, (both.AsUInt16() >>> 4).AsByte() & four, high);
    }
}
