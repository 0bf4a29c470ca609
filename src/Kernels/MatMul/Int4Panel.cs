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
    /// <summary>Blocks unpacked at a time: 4 KiB.</summary>
    private const int BlocksAtATime = 4;

    /// <summary>Bytes of one unpacked block.</summary>
    private const int UnpackedBytes = 2 * PanelLayout.Int4WeightBytes;

    private const int Alignment = 64;

    /// <summary>As <see cref="PanelProduct.Accumulate"/>, by an int8 product.</summary>
    [SkipLocalsInit]
    public static void Accumulate<TProduct>(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
        where TProduct : IInt8Product
    {
        var scratch = stackalloc byte[BlocksAtATime * UnpackedBytes + Alignment];
        scratch = (byte*)(((nuint)scratch + Alignment - 1) & ~(nuint)(Alignment - 1));
        var packed = w.Weights;
        var run = w;
        run.Weights = scratch;
        run.ScaleStride = PanelLayout.Int4BlockBytes / sizeof(ushort);
        for (var first = w.FirstBlock; first < w.EndBlock;)
        {
            run.FirstBlock = first;
            run.EndBlock = Math.Min(first + BlocksAtATime, w.EndBlock);
            run.FirstGroup = w.Blocks[first].Group;
            run.Scales = (ushort*)(packed + PanelLayout.Int4WeightBytes);
            for (var target = scratch; first < run.EndBlock; first++, packed += PanelLayout.Int4BlockBytes, target += UnpackedBytes)
                Unpack(packed, target);
            TProduct.Accumulate(run, x, rows, count, y, stride);
        }
    }

    /// <summary>Writes a block of int4 weights, stored as value + 8, in the int8 layout, as value + 128.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Unpack(byte* packed, byte* target)
    {
        const int QuadBytes = PanelLayout.Columns * ReductionAxis.Interleave;
        var four = Vector256.Create((byte)0x0F);
        var offset = Vector256.Create((byte)(PanelLayout.Offset - PanelLayout.Int4Offset));
        for (var end = packed + PanelLayout.Int4WeightBytes; packed < end; packed += QuadBytes, target += 2 * QuadBytes)
            for (var i = 0; i < QuadBytes; i += Vector256<byte>.Count)
            {
                var both = Vector256.Load(packed + i);
                ((both & four) + offset).Store(target + i);
                ((both >>> 4) + offset).Store(target + QuadBytes + i);
            }
    }
}
