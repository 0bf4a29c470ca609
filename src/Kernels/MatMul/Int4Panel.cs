using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>A product over an int8 panel, whichever path computes it.</summary>
internal unsafe interface IInt8Product
{
    static abstract void Accumulate(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride);
}

/// <summary>
/// An int4 panel as an int8 one: a few blocks at a time are unpacked to L1 and given to an int8 product, so many rows share
/// the work of unpacking, and the bits of the result are those of int8 weights with the same values and scales.
/// </summary>
internal static unsafe class Int4Panel
{
    /// <summary>Bytes of one packed block.</summary>
    public const int BlockBytes = WeightFormats.Int4Group * PanelLayout.Columns / 2;

    /// <summary>Blocks unpacked at a time: 4 KiB.</summary>
    private const int BlocksAtATime = 4;

    /// <summary>Bytes of one unpacked block.</summary>
    private const int UnpackedBytes = 2 * BlockBytes;

    private const int Alignment = 64;

    /// <summary>As <see cref="PanelProduct.Accumulate"/>, by an int8 product.</summary>
    [SkipLocalsInit]
    public static void Accumulate<TProduct>(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
        where TProduct : IInt8Product
    {
        var scratch = stackalloc byte[BlocksAtATime * UnpackedBytes + Alignment];
        scratch = (byte*)(((nuint)scratch + Alignment - 1) & ~(nuint)(Alignment - 1));
        var run = w;
        for (var first = w.FirstBlock; first < w.EndBlock; first = run.EndBlock)
        {
            run.FirstBlock = first;
            run.EndBlock = Math.Min(first + BlocksAtATime, w.EndBlock);
            var packed = w.Weights + (long)(first - w.FirstBlock) * BlockBytes;
            run.Weights = scratch;
            Unpack(packed, (run.EndBlock - first) * BlockBytes, scratch);
            TProduct.Accumulate(run, x, rows, count, y, stride);
        }
    }

    /// <summary>Writes int4 weights, stored as value + 8, in the int8 layout, as value + 128.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Unpack(byte* packed, int bytes, byte* target)
    {
        const int QuadBytes = PanelLayout.Columns * ReductionAxis.Interleave;
        var four = Vector256.Create((byte)0x0F);
        var offset = Vector256.Create((byte)(PanelLayout.Offset - PanelLayout.Int4Offset));
        for (var end = packed + bytes; packed < end; packed += QuadBytes, target += 2 * QuadBytes)
            for (var i = 0; i < QuadBytes; i += Vector256<byte>.Count)
            {
                var both = Vector256.Load(packed + i);
                ((both & four) + offset).Store(target + i);
                ((both >>> 4) + offset).Store(target + QuadBytes + i);
            }
    }
}
