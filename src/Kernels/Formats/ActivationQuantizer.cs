using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Grok1Cluster.Kernels.Formats;

/// <summary>
/// Symmetric int8 quantisation per activation block: scale = max |x| / 127, value = round-half-even(x * (127 / max |x|)).
/// A block of zeros has scale 0. An outlier costs precision in its own block only.
/// </summary>
public static unsafe class ActivationQuantizer
{
    /// <param name="x">[axis.Length] float32, finite.</param>
    /// <param name="axis">The blocks.</param>
    /// <param name="values">[axis.PaddedLength] int8, overwritten in each block's length; padding is left as it is (zero).</param>
    /// <param name="scales">[axis.BlockCount] float32, overwritten.</param>
    /// <param name="sums">[axis.BlockCount], overwritten: sum of the int8 values of each block.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Quantize(ReadOnlySpan<float> x, ReductionAxis axis, sbyte* values, float* scales, int* sums)
    {
        if (x.Length != axis.Length)
            throw new ArgumentException($"{x.Length} activations for an axis of {axis.Length}", nameof(x));
        var blocks = axis.BlockPointer;
        fixed (float* source = x)
            for (var b = 0; b < axis.BlockCount; b++)
                QuantizeBlock(source + blocks[b].Start, blocks[b].Length, values + blocks[b].PaddedStart, scales + b, sums + b);
    }

    /// <summary>The scalar twin of <see cref="Quantize"/>: the same bits.</summary>
    public static void QuantizeScalar(ReadOnlySpan<float> x, ReductionAxis axis, sbyte* values, float* scales, int* sums)
    {
        for (var b = 0; b < axis.BlockCount; b++)
        {
            var block = axis.Blocks[b];
            var max = 0f;
            for (var i = 0; i < block.Length; i++)
                max = Math.Max(max, Math.Abs(x[block.Start + i]));
            var inverse = Inverse(max);
            var sum = 0;
            for (var i = 0; i < block.Length; i++)
            {
                var value = (sbyte)MathF.Round(x[block.Start + i] * inverse, MidpointRounding.ToEven);
                values[block.PaddedStart + i] = value;
                sum += value;
            }
            scales[b] = max / 127f;
            sums[b] = sum;
        }
    }

    /// <summary>Sum of <paramref name="count"/> int8 values.</summary>
    public static int Sum(sbyte* values, int count)
    {
        var sum = 0;
        var i = 0;
        var total = Vector256<int>.Zero;
        for (; i + 32 <= count; i += 32)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(values + i));
            var pair = low + high; // at most 254 in magnitude
            var (a, b) = Vector256.Widen(pair);
            total += a + b;
        }
        for (; i < count; i++)
            sum += values[i];
        return sum + Vector256.Sum(total);
    }

    /// <summary>One block of <see cref="Quantize"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void QuantizeBlock(float* x, int length, sbyte* values, float* scale, int* sum)
    {
        var maxima = Vector256<float>.Zero;
        var i = 0;
        for (; i + 8 <= length; i += 8)
            maxima = Vector256.Max(maxima, Vector256.Abs(Vector256.Load(x + i)));
        var four = Vector128.Max(maxima.GetLower(), maxima.GetUpper());
        var max = Math.Max(Math.Max(four[0], four[1]), Math.Max(four[2], four[3]));
        for (; i < length; i++)
            max = Math.Max(max, Math.Abs(x[i]));

        var inverse = Inverse(max);
        var factor = Vector256.Create(inverse);
        var total = Vector256<int>.Zero;
        for (i = 0; i + 8 <= length; i += 8)
        {
            var rounded = Vector256.ConvertToInt32(Vector256.Round(Vector256.Load(x + i) * factor, MidpointRounding.ToEven));
            total += rounded;
            var words = Vector128.Narrow(rounded.GetLower(), rounded.GetUpper());
            Unsafe.WriteUnaligned(values + i, Vector128.Narrow(words, words).AsUInt64().ToScalar());
        }
        var rest = 0;
        for (; i < length; i++)
            rest += values[i] = (sbyte)MathF.Round(x[i] * inverse, MidpointRounding.ToEven);
        *scale = max / 127f;
        *sum = rest + Vector256.Sum(total);
    }

    /// <summary>127 / max, but never so large that max * inverse could round past 127 or overflow.</summary>
    private static float Inverse(float max) => max < 1e-30f ? 0f : 127f / max;
}
