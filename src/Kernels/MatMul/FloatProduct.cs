using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>How a float weight format is read, so that one loop serves bfloat16 and float32 without a branch inside.</summary>
internal unsafe interface IFloatWeights
{
    static abstract int ElementBytes { get; }

    static abstract Vector256<float> Load8(byte* source);

    static abstract Vector128<float> Load4(byte* source);

    static abstract float Load(byte* source);
}

internal readonly unsafe struct BFloat16Weights : IFloatWeights
{
    public static int ElementBytes => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load8(byte* source) => Bf16.Load8((ushort*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load4(byte* source) => Bf16.Load4((ushort*)source);

    public static float Load(byte* source) => Bf16.Widen(*(ushort*)source);
}

internal readonly unsafe struct Float32Weights : IFloatWeights
{
    public static int ElementBytes => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load8(byte* source) => Vector256.Load((float*)source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load4(byte* source) => Vector128.Load((float*)source);

    public static float Load(byte* source) => *(float*)source;
}

/// <summary>
/// bfloat16 or float32 weights times float32 activations: for each row and column <c>y = fma(x_k, w_k, y)</c>, k ascending.
/// </summary>
internal static unsafe class FloatProduct<TWeights> where TWeights : IFloatWeights
{
    /// <summary>As <see cref="Int8BlockProduct.Accumulate"/>, for float weights and float32 activations.</summary>
    public static void Accumulate(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        if (Vector256.IsHardwareAccelerated)
            AccumulateVector256(w, x, rows, count, y, stride);
        else
            AccumulateVector128(w, x, rows, count, y, stride);
    }

    /// <summary>The scalar twin.</summary>
    public static void AccumulateScalar(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        Run(w, x, out var first, out var length);
        for (var i = 0; i < count; i++)
        {
            var values = x.Floats + (long)rows[i] * x.Axis.PaddedLength + first;
            for (var column = 0; column < PanelLayout.Columns; column++)
            {
                ref var sum = ref y[i * stride + column];
                for (var k = 0; k < length; k++)
                    sum = MathF.FusedMultiplyAdd(values[k], TWeights.Load(w.Weights + ((long)k * PanelLayout.Columns + column) * TWeights.ElementBytes), sum);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void AccumulateVector256(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        Run(w, x, out var first, out var length);
        for (var i = 0; i < count; i++)
        {
            var values = x.Floats + (long)rows[i] * x.Axis.PaddedLength + first;
            var target = y + i * stride;
            var s0 = Vector256.Load(target);
            var s1 = Vector256.Load(target + 8);
            var s2 = Vector256.Load(target + 16);
            var s3 = Vector256.Load(target + 24);
            var weights = w.Weights;
            for (var k = 0; k < length; k++, weights += PanelLayout.Columns * TWeights.ElementBytes)
            {
                var value = Vector256.Create(values[k]);
                s0 = Vector256.FusedMultiplyAdd(value, TWeights.Load8(weights), s0);
                s1 = Vector256.FusedMultiplyAdd(value, TWeights.Load8(weights + 8 * TWeights.ElementBytes), s1);
                s2 = Vector256.FusedMultiplyAdd(value, TWeights.Load8(weights + 16 * TWeights.ElementBytes), s2);
                s3 = Vector256.FusedMultiplyAdd(value, TWeights.Load8(weights + 24 * TWeights.ElementBytes), s3);
            }
            s0.Store(target);
            s1.Store(target + 8);
            s2.Store(target + 16);
            s3.Store(target + 24);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void AccumulateVector128(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        Run(w, x, out var first, out var length);
        for (var i = 0; i < count; i++)
        {
            var values = x.Floats + (long)rows[i] * x.Axis.PaddedLength + first;
            for (var column = 0; column < PanelLayout.Columns; column += 4)
            {
                var target = y + i * stride + column;
                var sum = Vector128.Load(target);
                var weights = w.Weights + column * TWeights.ElementBytes;
                for (var k = 0; k < length; k++, weights += PanelLayout.Columns * TWeights.ElementBytes)
                    sum = Vector128.FusedMultiplyAdd(Vector128.Create(values[k]), TWeights.Load4(weights), sum);
                sum.Store(target);
            }
        }
    }

    /// <summary>Float weights have no scales, so a run of blocks is one run of padded rows.</summary>
    private static void Run(in PanelOperands w, Activations x, out int first, out int length)
    {
        first = w.Blocks[w.FirstBlock].PaddedStart;
        var end = w.EndBlock == x.Axis.BlockCount ? x.Axis.PaddedLength : w.Blocks[w.EndBlock].PaddedStart;
        length = end - first;
    }
}
