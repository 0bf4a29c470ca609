using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// Random weights at any geometry, for timing: uniform, with the variance 1 / K of an initialised network, so activations
/// and routing behave like a model's. Each row, panel or block has its own generator, so the bytes depend on the seed alone.
/// </summary>
public sealed unsafe class SyntheticSource(long seed) : IStoreSource
{
    /// <summary>Standard deviation of a uniform int8 in [-127, 127].</summary>
    private const double Int8Deviation = 73.6;

    /// <summary>Root mean square of a uniform int4 in [-8, 7], whose scales' signs are drawn so that its mean of -1/2 cancels.</summary>
    private const double Int4Deviation = 4.64;

    public void FillPlain(DenseTensor tensor, int first, int end, Span<float> target)
    {
        var norm = tensor.Rows == 1;
        var deviation = norm ? 0.2f : 1f / MathF.Sqrt(tensor.Role == TensorRole.Embedding ? tensor.Columns : tensor.Rows);
        for (var row = first; row < end; row++)
        {
            var random = new SplitMix(seed, (int)tensor.Role, tensor.Layer, row, 0);
            foreach (ref var value in target.Slice((row - first) * tensor.Columns, tensor.Columns))
                value = (norm ? 1f : 0f) + random.NextUniform() * deviation;
        }
    }

    public void FillPanel(DenseTensor tensor, int panel, Span<byte> weights, Span<ushort> scales)
    {
        if (tensor.Role == TensorRole.Embedding)
        {
            FillHeadPanel(tensor, panel, weights, scales);
            return;
        }
        var random = new SplitMix(seed, (int)tensor.Role, tensor.Layer, panel, 1);
        FillWeights(ref random, tensor.Format, tensor.Axis!.Blocks, tensor.Rows, tensor.Columns - panel * PanelLayout.Columns, weights);
        scales.Fill(Scale(tensor.Rows, Int8Deviation));
    }

    public void FillExpertBlock(ExpertLayout layout, int layer, int expert, ExpertBlock block, Span<byte> target)
    {
        var random = new SplitMix(seed, layer, expert, block.FirstColumn, 2);
        var panelBytes = (int)layout.InputPanelBytes;
        for (var panel = 0; panel < 2 * block.Panels; panel++)
            FillWeights(ref random, layout.Format, layout.InputAxis.Blocks, layout.Columns, block.Width - panel / 2 * PanelLayout.Columns, target.Slice(panel * panelBytes, panelBytes));
        var rows = layout.HiddenAxis.Blocks[block.FirstActivationBlock..block.EndActivationBlock];
        var downBytes = (int)block.DownPanelBytes;
        for (var panel = 0; panel < PanelLayout.PanelCount(layout.Columns); panel++)
            FillWeights(ref random, layout.Format, rows, layout.FeedForwardDim, layout.Columns - panel * PanelLayout.Columns, target.Slice((int)block.DownWeights + panel * downBytes, downBytes));
        if (!layout.Format.HasScaleTable())
            return;
        MemoryMarshal.Cast<byte, ushort>(target.Slice((int)block.InputScales, block.Panels * 2 * layout.InputAxis.Groups * PanelLayout.Columns * sizeof(ushort))).Fill(Scale(layout.Columns, Int8Deviation));
        MemoryMarshal.Cast<byte, ushort>(target.Slice((int)block.DownScales, block.Groups * PanelLayout.PaddedColumns(layout.Columns) * sizeof(ushort))).Fill(Scale(layout.FeedForwardDim, Int8Deviation));
    }

    /// <summary>The head of the embedding that <see cref="FillPlain"/> writes.</summary>
    private void FillHeadPanel(DenseTensor head, int panel, Span<byte> weights, Span<ushort> scales)
    {
        var first = panel * PanelLayout.Columns;
        var columns = Math.Min(PanelLayout.Columns, head.Columns - first);
        var table = new float[columns * head.Rows];
        FillPlain(new DenseTensor(TensorRole.Embedding, 0, head.Columns, head.Rows, WeightFormat.Float32, null, 0), first, first + columns, table);
        fixed (float* source = table)
        fixed (byte* target = weights)
        fixed (ushort* targetScales = scales)
            HeadPanel.Pack(source, head, columns, target, targetScales);
    }

    private static ushort Scale(int rows, double deviation) => Bf16.Round((float)(1 / (deviation * Math.Sqrt(rows))));

    /// <param name="random">Advanced by what is drawn.</param>
    /// <param name="format">Element format.</param>
    /// <param name="blocks">Activation blocks of the panel, whose padding gets weight 0.</param>
    /// <param name="rows">K of the whole matrix, which sets the variance of float weights.</param>
    /// <param name="columns">Columns present, may exceed 32.</param>
    /// <param name="target">The panel.</param>
    private static void FillWeights(ref SplitMix random, WeightFormat format, ReadOnlySpan<ActivationBlock> blocks, int rows, int columns, Span<byte> target)
    {
        if (format.IsQuantised())
            foreach (ref var word in MemoryMarshal.Cast<byte, ulong>(target))
                word = random.Next();
        if (format == WeightFormat.Int4)
        {
            FinishInt4(ref random, blocks, rows, columns, target);
            return;
        }
        if (format == WeightFormat.Int8)
            // A packed 0 would be the weight -128, which a symmetric quantiser does not write.
            foreach (ref var weight in MemoryMarshal.Cast<byte, Vector256<byte>>(target))
                weight = Vector256.Max(weight, Vector256<byte>.One);
        var deviation = 1f / MathF.Sqrt(rows);
        var at = 0;
        foreach (ref readonly var block in blocks)
            for (var k = 0; k < block.PaddedLength; k++, at++)
            {
                if (format == WeightFormat.Int8 && k < block.Length && columns >= PanelLayout.Columns)
                    continue;
                for (var column = 0; column < PanelLayout.Columns; column++)
                {
                    var inside = k < block.Length && column < columns;
                    var element = at * PanelLayout.Columns + column;
                    if (format == WeightFormat.Int8 && !inside)
                        target[(at / ReductionAxis.Interleave * PanelLayout.Columns + column) * ReductionAxis.Interleave + at % ReductionAxis.Interleave] = PanelLayout.Offset;
                    else if (format == WeightFormat.Float32)
                        MemoryMarshal.Cast<byte, float>(target)[element] = inside ? random.NextUniform() * deviation : 0f;
                    else if (format == WeightFormat.BFloat16)
                        MemoryMarshal.Cast<byte, ushort>(target)[element] = inside ? Bf16.Round(random.NextUniform() * deviation) : (ushort)0;
                }
            }
    }

    /// <summary>Scales of random sign, and weight 0 in the padding of a panel that holds random bytes.</summary>
    private static void FinishInt4(ref SplitMix random, ReadOnlySpan<ActivationBlock> blocks, int rows, int columns, Span<byte> panel)
    {
        const ushort Sign = 0x8000;
        var magnitude = Scale(rows, Int4Deviation);
        foreach (ref readonly var block in blocks)
        {
            for (var k = columns < PanelLayout.Columns ? 0 : block.Length; k < block.PaddedLength; k++)
                for (var column = k < block.Length ? columns : 0; column < PanelLayout.Columns; column++)
                {
                    var shift = k % 8 < 4 ? 0 : 4;
                    ref var both = ref panel[(k / 8 * PanelLayout.Columns + column) * 4 + k % 4];
                    both = (byte)(both & ~(0x0F << shift) | PanelLayout.Int4Offset << shift);
                }
            foreach (ref var scale in MemoryMarshal.Cast<byte, ushort>(panel[PanelLayout.Int4WeightBytes..PanelLayout.Int4BlockBytes]))
                scale = (ushort)(magnitude ^ (random.Next() & Sign));
            panel = panel[PanelLayout.Int4BlockBytes..];
        }
    }

    /// <summary>SplitMix64 (Steele, Lea and Flood, 2014): one add, two multiplies a draw.</summary>
    private struct SplitMix
    {
        private ulong _state;

        public SplitMix(long seed, int a, int b, int c, int d)
        {
            _state = (ulong)seed;
            foreach (var part in (ReadOnlySpan<int>)[a, b, c, d])
                _state = Next() ^ (uint)part;
        }

        public ulong Next()
        {
            var z = _state += 0x9E3779B97F4A7C15;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }

        /// <summary>Uniform with mean 0 and variance 1.</summary>
        public float NextUniform() => ((Next() >> 40) * (1f / (1 << 24)) - 0.5f) * 3.4641016f;
    }
}
