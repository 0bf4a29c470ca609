using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Formats;

/// <summary>
/// Symmetric int8 quantisation of float weights, one bfloat16 scale per column and weight group, as the official release
/// has it: the scale is max |w| / 127 rounded to bfloat16, the value round-half-even(w / scale) held in [-127, 127].
/// </summary>
public static unsafe class Int8Quantizer
{
    /// <param name="source">Row-major float32 [axis.Length, 32].</param>
    /// <param name="axis">Gives the weight groups.</param>
    /// <param name="values">Row-major int8 [axis.Length, 32], overwritten.</param>
    /// <param name="scales">bfloat16 [axis.Groups, 32], overwritten; 1 for a group of zeros.</param>
    public static void QuantizePanel(float* source, ReductionAxis axis, sbyte* values, ushort* scales)
    {
        for (var group = 0; group < axis.Groups; group++)
            for (var column = 0; column < PanelLayout.Columns; column++)
            {
                var first = (long)group * axis.GroupLength;
                var max = 0f;
                for (var k = first; k < first + axis.GroupLength; k++)
                    max = Math.Max(max, Math.Abs(source[k * PanelLayout.Columns + column]));
                var bits = max == 0f ? Bf16.Round(1f) : Math.Max((ushort)0x0080, Bf16.Round(max / 127f));
                scales[group * PanelLayout.Columns + column] = bits;
                var scale = Bf16.Widen(bits);
                for (var k = first; k < first + axis.GroupLength; k++)
                    values[k * PanelLayout.Columns + column] = (sbyte)Math.Clamp(MathF.Round(source[k * PanelLayout.Columns + column] / scale, MidpointRounding.ToEven), -127f, 127f);
            }
    }
}
