using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Formats;

/// <summary>
/// int4 quantisation of float weights: for each column and group of 32 rows, the bfloat16 scale of a search that gives the
/// least squared error, and round-half-even(w * (1 / scale)) held in [-8, 7]. The candidates are -w / n, with w the weight of
/// largest magnitude and n from 6 to 9: w lies towards -8, the longer end of the range, so scales have either sign, and
/// where n exceeds 8 it is clipped to give the others finer steps. What it gains in perplexity is in docs/adr/0007-int4.md.
/// </summary>
public static unsafe class Int4Quantizer
{
    private const float FirstDivisor = 6f, LastDivisor = 9f, DivisorStep = 0.25f;

    /// <summary>Weights below this in a group without larger ones become zeros, whose scale is 1.</summary>
    private const float Least = 1e-30f;

    /// <summary>Columns searched at a time, one a lane.</summary>
    private const int Lanes = 8;

    /// <param name="source">Row-major float32, 32 columns, finite: row 0 is the first block's Start.</param>
    /// <param name="blocks">Activation blocks of an int4 axis, in order.</param>
    /// <param name="values">Row-major int8 in [-8, 7], 32 columns, overwritten.</param>
    /// <param name="scales">bfloat16 [blocks, 32], overwritten; 1 for a group of zeros.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void QuantizePanel(float* source, ReadOnlySpan<ActivationBlock> blocks, sbyte* values, ushort* scales)
    {
        for (var b = 0; b < blocks.Length; b++)
        {
            var first = (long)(blocks[b].Start - blocks[0].Start) * PanelLayout.Columns;
            for (var column = 0; column < PanelLayout.Columns; column += Lanes)
                QuantizeGroup(source + first + column, blocks[b].Length, values + first + column, scales + b * PanelLayout.Columns + column);
        }
    }

    /// <summary>One group of eight columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void QuantizeGroup(float* source, int rows, sbyte* values, ushort* scales)
    {
        var largest = Vector256<float>.Zero;
        for (var k = 0; k < rows; k++)
        {
            var x = Vector256.Load(source + k * PanelLayout.Columns);
            largest = Vector256.ConditionalSelect(Vector256.GreaterThan(Vector256.Abs(x), Vector256.Abs(largest)), x, largest);
        }
        var best = Vector256<float>.Zero;
        var least = Vector256.Create(float.PositiveInfinity);
        for (var n = FirstDivisor; n <= LastDivisor; n += DivisorStep)
        {
            var scale = RoundToBf16(largest / Vector256.Create(-n));
            var error = Error(source, rows, scale, largest);
            var better = Vector256.LessThan(error, least);
            best = Vector256.ConditionalSelect(better, scale, best);
            least = Vector256.ConditionalSelect(better, error, least);
        }
        best = Vector256.ConditionalSelect(Vector256.LessThan(Vector256.Abs(largest), Vector256.Create(Least)), Vector256<float>.One, best);
        for (var lane = 0; lane < Lanes; lane++)
            scales[lane] = Bf16.Round(best[lane]);
        var unit = Vector256<float>.One / best;
        for (var k = 0; k < rows; k++)
        {
            var rounded = Vector256.ConvertToInt32Native(Round(Vector256.Load(source + k * PanelLayout.Columns) * unit));
            for (var lane = 0; lane < Lanes; lane++)
                values[k * PanelLayout.Columns + lane] = (sbyte)rounded[lane];
        }
    }

    /// <summary>Sum of squared errors, in units of the largest weight, whose square could overflow.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Error(float* source, int rows, Vector256<float> scale, Vector256<float> largest)
    {
        var error = Vector256<float>.Zero;
        var unit = Vector256<float>.One / scale;
        for (var k = 0; k < rows; k++)
        {
            var x = Vector256.Load(source + k * PanelLayout.Columns) * unit;
            var off = Round(x) - x;
            error += off * off;
        }
        var ratio = scale / largest;
        return error * (ratio * ratio);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Round(Vector256<float> x) =>
        Vector256.Max(Vector256.Create(-8f), Vector256.Min(Vector256.Create(7f), Vector256.Round(x)));

    /// <summary>The nearest bfloat16, ties to even, of finite numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> RoundToBf16(Vector256<float> x)
    {
        var bits = x.AsUInt32();
        return ((bits + Vector256.Create(0x7FFFu) + (bits >>> 16 & Vector256<uint>.One)) & Vector256.Create(0xFFFF0000u)).AsSingle();
    }
}
