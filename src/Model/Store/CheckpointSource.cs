using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// Packs a checkpoint's tensors. The int8 values and bfloat16 scales of the source are kept bit for bit when the store is
/// int8; float stores get <c>value * scale</c> in float32. Every value is checked as it passes.
/// </summary>
public sealed unsafe class CheckpointSource(ICheckpoint checkpoint) : IStoreSource, IDisposable
{
    private readonly ConcurrentDictionary<(TensorRole, int), Lazy<SourceTensor>> _open = new();

    public void FillPlain(DenseTensor tensor, int first, int end, Span<float> target)
    {
        var source = Open(tensor.Role, tensor.Layer);
        var start = (long)first * tensor.Columns;
        source.CheckValues(start, target.Length);
        new ReadOnlySpan<byte>(source.Values + start * sizeof(float), target.Length * sizeof(float)).CopyTo(System.Runtime.InteropServices.MemoryMarshal.AsBytes(target));
    }

    public void FillPanel(DenseTensor tensor, int panel, Span<byte> weights, Span<ushort> scales)
    {
        fixed (byte* target = weights)
        fixed (ushort* targetScales = scales)
        {
            if (tensor.Role == TensorRole.Embedding)
                FillHeadPanel(tensor, panel, target, targetScales);
            else
            {
                var source = Open(tensor.Role, tensor.Layer);
                if (panel == 0)
                    source.CheckValues(0, source.ValueCount);
                var matrix = new MatrixPanel(source, 0, panel * PanelLayout.Columns);
                Pack(matrix, tensor.Axis!, tensor.Axis!.Blocks, tensor.Format, target);
                if (tensor.Format.IsQuantised())
                    matrix.CopyScales(0, tensor.Axis.Groups, targetScales, PanelLayout.Columns);
            }
        }
    }

    public void FillExpertBlock(ExpertLayout layout, int layer, int expert, ExpertBlock block, Span<byte> target)
    {
        fixed (byte* start = target)
        {
            for (var panel = 0; panel < block.Panels; panel++)
                for (var side = 0; side < 2; side++)
                {
                    var source = Open(side == 0 ? TensorRole.ExpertGate : TensorRole.ExpertUp, layer);
                    var matrix = new MatrixPanel(source, expert, block.FirstColumn + panel * PanelLayout.Columns);
                    matrix.CheckValues(0, layout.InputAxis.Length);
                    var index = panel * 2 + side;
                    Pack(matrix, layout.InputAxis, layout.InputAxis.Blocks, layout.Format, start + index * layout.InputPanelBytes);
                    if (layout.Format.IsQuantised())
                        matrix.CopyScales(0, layout.InputAxis.Groups, (ushort*)(start + block.InputScales) + index * layout.InputAxis.Groups * PanelLayout.Columns, PanelLayout.Columns);
                }

            var down = Open(TensorRole.ExpertDown, layer);
            var rows = layout.HiddenAxis.Blocks[block.FirstActivationBlock..block.EndActivationBlock];
            for (var panel = 0; panel < PanelLayout.PanelCount(layout.Columns); panel++)
            {
                var matrix = new MatrixPanel(down, expert, panel * PanelLayout.Columns);
                matrix.CheckValues(block.FirstColumn, block.FirstColumn + block.Width);
                Pack(matrix, layout.HiddenAxis, rows, layout.Format, start + block.DownWeights + panel * block.DownPanelBytes);
                if (layout.Format.IsQuantised())
                    matrix.CopyScales(block.FirstGroup, block.Groups, (ushort*)(start + block.DownScales) + panel * PanelLayout.Columns, PanelLayout.PaddedColumns(layout.Columns));
            }
        }
    }

    public void Dispose()
    {
        foreach (var tensor in _open.Values)
            if (tensor.IsValueCreated)
                tensor.Value.Dispose();
    }

    private SourceTensor Open(TensorRole role, int layer) => _open.GetOrAdd((role, layer), key => new Lazy<SourceTensor>(() =>
    {
        var tensor = checkpoint.Open(key.Item1, key.Item2);
        tensor.CheckScales();
        return tensor;
    })).Value;

    /// <summary>The head is the embedding transposed: column v of W is row v of the table.</summary>
    private void FillHeadPanel(DenseTensor tensor, int panel, byte* target, ushort* scales)
    {
        var source = Open(TensorRole.Embedding, 0);
        var first = panel * PanelLayout.Columns;
        var columns = Math.Min(PanelLayout.Columns, tensor.Columns - first);
        using var floats = new NativeBuffer<float>((long)tensor.Rows * PanelLayout.Columns);
        for (var column = 0; column < columns; column++)
        {
            var row = (float*)source.Values + (long)(first + column) * tensor.Rows;
            for (var k = 0; k < tensor.Rows; k++)
                floats.Pointer[(long)k * PanelLayout.Columns + column] = row[k];
        }
        if (!tensor.Format.IsQuantised())
        {
            PanelPacker.PackFloat(floats.Pointer, tensor.Axis!.Blocks, tensor.Format, target);
            return;
        }
        using var values = new NativeBuffer<sbyte>((long)tensor.Rows * PanelLayout.Columns);
        Int8Quantizer.QuantizePanel(floats.Pointer, tensor.Axis!, values.Pointer, scales);
        PanelPacker.PackInt8(values.Pointer, PanelLayout.Columns, columns, tensor.Axis!.Blocks, target);
    }

    private static void Pack(MatrixPanel matrix, ReductionAxis axis, ReadOnlySpan<ActivationBlock> blocks, WeightFormat format, byte* target)
    {
        if (format.IsQuantised())
        {
            PanelPacker.PackInt8(matrix.Values, matrix.Stride, matrix.Columns, blocks, target);
            return;
        }
        int first = blocks[0].Start, end = blocks[^1].Start + blocks[^1].Length;
        using var floats = new NativeBuffer<float>((long)(end - first) * PanelLayout.Columns);
        matrix.Dequantise(first, end, axis.Length, floats.Pointer);
        PanelPacker.PackFloat(floats.Pointer, blocks, format, target);
    }

    /// <summary>Up to 32 columns of one int8 matrix [K, N] of a source tensor.</summary>
    private readonly struct MatrixPanel
    {
        private readonly SourceTensor _tensor;
        private readonly long _start;
        private readonly long _rows;
        private readonly int _matrix;
        private readonly int _firstColumn;

        public MatrixPanel(SourceTensor tensor, int matrix, int firstColumn)
        {
            if (tensor.Format != SourceFormat.Int8Scaled)
                throw new ModelException($"{tensor.File}: {tensor.Name} is {tensor.Format}, an int8 matrix with scales is expected");
            _tensor = tensor;
            _rows = tensor.Shape[^2];
            Stride = tensor.Shape[^1];
            Columns = (int)Math.Min(PanelLayout.Columns, Stride - firstColumn);
            (_matrix, _firstColumn) = (matrix, firstColumn);
            _start = matrix * _rows * Stride + firstColumn;
        }

        /// <summary>Row 0 of the panel.</summary>
        public sbyte* Values => (sbyte*)_tensor.Values + _start;

        public long Stride { get; }

        /// <summary>Columns present, at most 32.</summary>
        public int Columns { get; }

        public void CheckValues(int firstRow, int endRow)
        {
            for (long row = firstRow; row < endRow; row++)
                _tensor.CheckValues(_start + row * Stride, Columns);
        }

        /// <summary>Copies the scales of some weight groups; absent columns get 1 so that a padded column stays finite.</summary>
        public void CopyScales(int firstGroup, int groups, ushort* target, int targetStride)
        {
            for (var group = 0; group < groups; group++)
                for (var column = 0; column < PanelLayout.Columns; column++)
                    target[(long)group * targetStride + column] = column < Columns ? Scale(firstGroup + group, column) : Bf16.Round(1f);
        }

        public void Dequantise(int firstRow, int endRow, int axisLength, float* target)
        {
            var groupLength = axisLength / _tensor.ScaleGroups;
            for (var row = firstRow; row < endRow; row++)
                for (var column = 0; column < Columns; column++)
                    target[(long)(row - firstRow) * PanelLayout.Columns + column] = Values[row * Stride + column] * Bf16.Widen(Scale(row / groupLength, column));
        }

        private ushort Scale(int group, int column) =>
            Unsafe.ReadUnaligned<ushort>(_tensor.Scales + ((long)_matrix * _tensor.ScaleGroups + group) * Stride + _firstColumn + column);
    }
}
