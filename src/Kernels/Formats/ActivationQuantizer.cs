using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Grok1Cluster.Kernels.Formats;

/// <summary>
/// Symmetric int8 quantisation per activation block: scale = max |x| / 127, value = round-half-even(x * (127 / max |x|)).
/// A block of zeros has scale 0.
/// <para>
/// Rounding is off by 1 / sqrt(12) of a step. Where the values of a block have an RMS below <see cref="LeastRms"/> steps, which takes
/// one that dominates the others, that is more than 1.8 % of what the block is worth. Then the largest value becomes an <see cref="Outlier"/>: kept
/// as float32 and multiplied apart (<c>OutlierProduct</c>), while the rest has a scale of its own. A block has at most
/// <see cref="MaxOutliers"/>: each takes 49 % of the block's power or more, so what is left of a block of 128 cannot cost more than
/// sqrt(128 / 12) / 127 * sqrt(0.51^3) = 0.9 %. Blocks of up to 63 values have none, since their largest value alone is RMS enough.
/// The decision is one of integers, the same on every path and device.
/// </para>
/// </summary>
public static unsafe class ActivationQuantizer
{
    /// <summary>Outliers of a block at most.</summary>
    public const int MaxOutliers = 3;

    /// <summary>RMS of a block's int8 values, in steps, below which its largest value becomes an outlier.</summary>
    public const int LeastRms = 16;

    /// <summary>Blocks whose largest magnitude is below this become zeros: 127 / max would overflow.</summary>
    private const float Least = 1e-30f;

    /// <param name="x">[axis.Length] float32, finite.</param>
    /// <param name="axis">The blocks.</param>
    /// <param name="row">Where it goes: overwritten in each block's length; padding of the values is left as it is (zero).</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Quantize(ReadOnlySpan<float> x, ReductionAxis axis, in QuantizedRow row)
    {
        if (x.Length != axis.Length)
            throw new ArgumentException($"{x.Length} activations for an axis of {axis.Length}", nameof(x));
        fixed (float* source = x)
            for (var b = 0; b < axis.BlockCount; b++)
                QuantizeBlock(source + axis.BlockPointer[b].Start, axis.BlockPointer[b], b, row);
    }

    /// <summary>The scalar twin of <see cref="Quantize"/>: the same bits.</summary>
    public static void QuantizeScalar(ReadOnlySpan<float> x, ReductionAxis axis, in QuantizedRow row)
    {
        for (var b = 0; b < axis.BlockCount; b++)
        {
            var block = axis.Blocks[b];
            var rest = x.Slice(block.Start, block.Length).ToArray();
            var found = new List<Outlier>();
            while (IsCoarse(rest, block, b, row) && found.Count < MaxOutliers)
            {
                var largest = Array.FindIndex(rest, value => Math.Abs(value) == rest.Max(Math.Abs));
                found.Add(new Outlier(block.PaddedStart + largest, rest[largest]));
                rest[largest] = 0;
            }
            row.OutlierCounts[b] = (byte)found.Count;
            found.Sort((a, other) => a.Position.CompareTo(other.Position));
            for (var i = 0; i < found.Count; i++)
                row.Outliers[b * MaxOutliers + i] = found[i];
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
    /// <param name="x">[block.Length] float32.</param>
    /// <param name="block">The block.</param>
    /// <param name="index">Its index in the axis.</param>
    /// <param name="row">Where it goes.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void QuantizeBlock(float* x, in ActivationBlock block, int index, in QuantizedRow row)
    {
        row.OutlierCounts[index] = 0;
        if (RoundBlock(x, block.Length, row.Values + block.PaddedStart, row.Scales + index, row.Sums + index))
            TakeOutliers(x, block, index, row);
    }

    /// <summary>A run of values with one scale and without outliers, however coarse that is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void QuantizePlainBlock(float* x, int length, sbyte* values, float* scale, int* sum) => RoundBlock(x, length, values, scale, sum);

    /// <summary>Makes largest values outliers until the rest is fine enough. Rare, so it takes its time.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TakeOutliers(float* x, in ActivationBlock block, int index, in QuantizedRow row)
    {
        var rest = stackalloc float[ReductionAxis.MaxBlock];
        new ReadOnlySpan<float>(x, block.Length).CopyTo(new Span<float>(rest, block.Length));
        var outliers = row.Outliers + index * MaxOutliers;
        var count = 0;
        do
        {
            var largest = 0;
            for (var k = 1; k < block.Length; k++)
                if (Math.Abs(rest[k]) > Math.Abs(rest[largest]))
                    largest = k;
            var at = count++;
            for (; at > 0 && outliers[at - 1].Position > block.PaddedStart + largest; at--)
                outliers[at] = outliers[at - 1];
            outliers[at] = new Outlier(block.PaddedStart + largest, rest[largest]);
            rest[largest] = 0;
        }
        while (RoundBlock(rest, block.Length, row.Values + block.PaddedStart, row.Scales + index, row.Sums + index) && count < MaxOutliers);
        row.OutlierCounts[index] = (byte)count;
    }

    /// <returns>Whether the values' RMS is below <see cref="LeastRms"/>.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool RoundBlock(float* x, int length, sbyte* values, float* scale, int* sum)
    {
        var i = 0;
        var max = Avx512F.IsSupported ? Max512(x, length, ref i) : Max256(x, length, ref i);
        for (; i < length; i++)
            max = Math.Max(max, Math.Abs(x[i]));

        var inverse = Inverse(max);
        i = 0;
        var (rest, power) = Avx512F.IsSupported ? Round512(x, length, inverse, values, ref i) : Round256(x, length, inverse, values, ref i);
        for (; i < length; i++)
        {
            var value = values[i] = (sbyte)MathF.Round(x[i] * inverse, MidpointRounding.ToEven);
            rest += value;
            power += value * value;
        }
        *scale = max / 127f;
        *sum = rest;
        return power < LeastRms * LeastRms * length && inverse != 0;
    }

    /// <summary>The largest magnitude of the whole vectors from <paramref name="i"/> on, which moves past them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Max512(float* x, int length, ref int i)
    {
        var maxima = Vector512<float>.Zero;
        for (; i + 16 <= length; i += 16)
            maxima = Vector512.Max(maxima, Vector512.Abs(Vector512.Load(x + i)));
        return Max(Vector256.Max(maxima.GetLower(), maxima.GetUpper()));
    }

    /// <inheritdoc cref="Max512"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Max256(float* x, int length, ref int i)
    {
        var maxima = Vector256<float>.Zero;
        for (; i + 8 <= length; i += 8)
            maxima = Vector256.Max(maxima, Vector256.Abs(Vector256.Load(x + i)));
        return Max(maxima);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Max(Vector256<float> maxima)
    {
        var four = Vector128.Max(maxima.GetLower(), maxima.GetUpper());
        return Math.Max(Math.Max(four[0], four[1]), Math.Max(four[2], four[3]));
    }

    /// <summary>Stores the rounded values of the whole vectors from <paramref name="i"/> on, which moves past them.</summary>
    /// <returns>Their sum, and the sum of their squares: at most 128 * 127 * 127 &lt; 2^24, so float32 holds it exactly in any order.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (int Sum, float Squares) Round512(float* x, int length, float inverse, sbyte* values, ref int i)
    {
        var factor = Vector512.Create(inverse);
        var total = Vector512<int>.Zero;
        var squares = Vector512<float>.Zero;
        for (; i + 16 <= length; i += 16)
        {
            // Without a mode it rounds to even, in one instruction; with one it is a call.
            var whole = Vector512.Round(Vector512.Load(x + i) * factor);
            squares += whole * whole;
            var rounded = Vector512.ConvertToInt32Native(whole);
            total += rounded;
            Avx512F.ConvertToVector128SByte(rounded).Store(values + i);
        }
        return (Vector512.Sum(total), Vector512.Sum(squares));
    }

    /// <inheritdoc cref="Round512"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (int Sum, float Squares) Round256(float* x, int length, float inverse, sbyte* values, ref int i)
    {
        var factor = Vector256.Create(inverse);
        var total = Vector256<int>.Zero;
        var squares = Vector256<float>.Zero;
        for (; i + 8 <= length; i += 8)
        {
            var whole = Vector256.Round(Vector256.Load(x + i) * factor);
            squares += whole * whole;
            var rounded = Vector256.ConvertToInt32Native(whole);
            total += rounded;
            var words = Vector128.Narrow(rounded.GetLower(), rounded.GetUpper());
            Unsafe.WriteUnaligned(values + i, Vector128.Narrow(words, words).AsUInt64().ToScalar());
        }
        return (Vector256.Sum(total), Vector256.Sum(squares));
    }

    /// <summary>The scalar twin of <see cref="RoundBlock"/>.</summary>
    private static bool IsCoarse(float[] x, in ActivationBlock block, int index, in QuantizedRow row)
    {
        var max = x.Max(Math.Abs);
        var inverse = Inverse(max);
        var (sum, power) = (0, 0);
        for (var i = 0; i < x.Length; i++)
        {
            var value = (sbyte)MathF.Round(x[i] * inverse, MidpointRounding.ToEven);
            row.Values[block.PaddedStart + i] = value;
            sum += value;
            power += value * value;
        }
        row.Scales[index] = max / 127f;
        row.Sums[index] = sum;
        return inverse != 0 && power < LeastRms * LeastRms * x.Length;
    }

    /// <summary>127 / max, but never so large that max * inverse could round past 127 or overflow.</summary>
    private static float Inverse(float max) => max < Least ? 0f : 127f / max;
}
