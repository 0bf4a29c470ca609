using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// Packs a checkpoint's tensors. The int8 values and bfloat16 scales of the source are kept bit for bit when the store is
/// int8; float stores get <c>value * scale</c> in float32, and int4 experts are quantised from that. Every value is checked as it passes.
/// </summary>
public sealed unsafe class CheckpointSource(ICheckpoint checkpoint) : IStoreSource, IDisposable
{
    private readonly ConcurrentDictionary<(TensorRole, int), Lazy<SourceTensor>> _open = new();

    public void FillPlain(DenseTensor tensor, int first, int end, Span<float> target)
    {
        var source = Open(tensor.Role, tensor.Layer);
        var start = (long)first * tensor.Columns;
        source.CheckValues(start, target.Length);
        new ReadOnlySpan<byte>(source.Values + start * sizeof(float), target.Length * sizeof(float)).CopyTo(MemoryMarshal.AsBytes(target));
    }

    public void FillPanel(DenseTensor tensor, int panel, Span<byte> weights, Span<ushort> scales)
    {
        var source = Open(tensor.Role, tensor.Layer);
        var firstColumn = panel * PanelLayout.Columns;
        fixed (byte* target = weights)
        fixed (ushort* targetScales = scales)
        {
            if (tensor.Role == TensorRole.Embedding)
            {
                var table = (float*)source.Values + (long)firstColumn * tensor.Rows;
                var columns = Math.Min(PanelLayout.Columns, tensor.Columns - firstColumn);
                HeadPanel.Pack(table, tensor, columns, target, targetScales);
                if (PanelRules.FindBroken(tensor.Format, tensor.Axis!.Blocks, columns, weights) is { } problem)
                    throw new ModelException($"{source.File}: {source.Name}: as {tensor.Format}, rows from {firstColumn}: {problem}; fetch the file again, or import as float32");
                return;
            }
            if (panel == 0)
                source.CheckValues(0, source.ValueCount);
            var matrix = new SourcePanel(source, 0, firstColumn, tensor.Columns);
            matrix.Pack(matrix.Values, matrix.Stride, tensor.Axis!.Blocks, tensor.Format, target, targetScales, PanelLayout.Columns);
        }
    }

    public void FillExpertBlock(ExpertLayout layout, int layer, int expert, ExpertBlock block, Span<byte> target)
    {
        using var columns = new NativeBuffer<sbyte>((long)layout.Columns * block.Width);
        fixed (byte* start = target)
        {
            FillInput(layout, Open(TensorRole.ExpertGate, layer), expert, block, 0, columns.Pointer, start);
            FillInput(layout, Open(TensorRole.ExpertUp, layer), expert, block, 1, columns.Pointer, start);
            FillDown(layout, Open(TensorRole.ExpertDown, layer), expert, block, start);
        }
    }

    public void Dispose()
    {
        foreach (var tensor in _open.Values)
            if (tensor.IsValueCreated)
                tensor.Value.Dispose();
    }

    /// <summary>
    /// The block's columns of gate (side 0) or up (side 1). They are gathered first: read panel by panel, each row of the
    /// source would bring the same cache lines into memory several times.
    /// </summary>
    private static void FillInput(ExpertLayout layout, SourceTensor source, int expert, ExpertBlock block, int side, sbyte* columns, byte* target)
    {
        var first = (long)expert * layout.Columns * layout.FeedForwardDim + block.FirstColumn;
        for (var row = 0; row < layout.Columns; row++)
            new ReadOnlySpan<sbyte>((sbyte*)source.Values + first + (long)row * layout.FeedForwardDim, block.Width).CopyTo(new Span<sbyte>(columns + (long)row * block.Width, block.Width));
        var bad = ValueScan.FindMinus128(columns, (long)layout.Columns * block.Width);
        if (bad >= 0)
            source.CheckValues(first + bad / block.Width * layout.FeedForwardDim, block.Width);

        for (var panel = 0; panel < block.Panels; panel++)
        {
            var index = panel * 2 + side;
            var matrix = new SourcePanel(source, expert, block.FirstColumn + panel * PanelLayout.Columns, block.FirstColumn + block.Width);
            matrix.Pack(columns + panel * PanelLayout.Columns, block.Width, layout.InputAxis.Blocks, layout.Format, target + index * layout.InputPanelBytes,
                (ushort*)(target + block.InputScales) + index * layout.InputAxis.Groups * PanelLayout.Columns, PanelLayout.Columns);
        }
    }

    /// <summary>The block's rows of down, which lie together in the source.</summary>
    private static void FillDown(ExpertLayout layout, SourceTensor source, int expert, ExpertBlock block, byte* target)
    {
        source.CheckValues(((long)expert * layout.FeedForwardDim + block.FirstColumn) * layout.Columns, (long)block.Width * layout.Columns);
        var rows = layout.HiddenAxis.Blocks[block.FirstActivationBlock..block.EndActivationBlock];
        for (var panel = 0; panel < PanelLayout.PanelCount(layout.Columns); panel++)
        {
            var matrix = new SourcePanel(source, expert, panel * PanelLayout.Columns, layout.Columns);
            matrix.Pack(matrix.Values, matrix.Stride, rows, layout.Format, target + block.DownWeights + panel * block.DownPanelBytes,
                (ushort*)(target + block.DownScales) + panel * PanelLayout.Columns, PanelLayout.PaddedColumns(layout.Columns));
        }
    }

    private SourceTensor Open(TensorRole role, int layer) => _open.GetOrAdd((role, layer), key => new Lazy<SourceTensor>(() =>
    {
        var tensor = checkpoint.Open(key.Item1, key.Item2);
        try
        {
            if (key.Item1.IsQuantized() && tensor.Format != SourceFormat.Int8Scaled)
                throw new ModelException($"{tensor.File}: {tensor.Name} is {tensor.Format}, an int8 matrix with scales is expected");
            tensor.CheckScales();
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    })).Value;
}
