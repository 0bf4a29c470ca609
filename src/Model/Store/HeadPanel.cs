using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Model.Store;

/// <summary>Packs the output head, which is the embedding transposed: column v of the head is row v of the table.</summary>
internal static unsafe class HeadPanel
{
    /// <param name="table">The panel's rows of the embedding table, row-major float32 [columns, tensor.Rows], unaligned.</param>
    /// <param name="tensor">The packed head.</param>
    /// <param name="columns">Columns present, 1 to 32.</param>
    /// <param name="target">The panel.</param>
    /// <param name="scales">bfloat16 [groups, 32] for quantised formats.</param>
    public static void Pack(float* table, DenseTensor tensor, int columns, byte* target, ushort* scales)
    {
        using var floats = new NativeBuffer<float>((long)tensor.Rows * PanelLayout.Columns);
        for (var column = 0; column < columns; column++)
        {
            var row = table + (long)column * tensor.Rows;
            for (var k = 0; k < tensor.Rows; k++)
                floats.Pointer[(long)k * PanelLayout.Columns + column] = row[k];
        }
        if (!tensor.Format.HasScaleTable())
        {
            PanelPacker.PackFloat(floats.Pointer, tensor.Axis!.Blocks, tensor.Format, target);
            return;
        }
        using var values = new NativeBuffer<sbyte>((long)tensor.Rows * PanelLayout.Columns);
        Int8Quantizer.QuantizePanel(floats.Pointer, tensor.Axis!, values.Pointer, scales);
        PanelPacker.PackInt8(values.Pointer, PanelLayout.Columns, columns, tensor.Axis!.Blocks, target);
    }
}
