using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>Brings int8 matrices from the store's layout on the host to the device's, some panels at a time. Not for concurrent use.</summary>
internal sealed unsafe class DenseUpload : IDisposable
{
    private const int PieceBytes = 8 << 20;
    private readonly DenseKernels _kernels;
    private readonly PinnedUpload _upload;

    /// <param name="device">The device.</param>
    /// <param name="kernels">Repack.</param>
    /// <param name="most">Bytes of the widest panel with its scales.</param>
    public DenseUpload(IKernelDevice device, DenseKernels kernels, int most) => (_kernels, _upload) = (kernels, new PinnedUpload(device, Math.Max(PieceBytes, most)));

    /// <summary>Copies a matrix.</summary>
    /// <param name="matrix">int8.</param>
    /// <param name="axis">Its axis on the device.</param>
    /// <param name="tables">Where the device's tables begin.</param>
    /// <param name="target">Where panel 0 goes.</param>
    /// <returns>Where the panel after the last would go.</returns>
    public nint Copy(PackedMatrix matrix, CudaAxis axis, nint tables, nint target)
    {
        var sourceBytes = matrix.Axis.PaddedLength * PanelLayout.Columns;
        var most = Math.Max(1, (int)(_upload.Bytes / (sourceBytes + matrix.Axis.Groups * CudaExpertLayout.ScaleRowBytes)));
        for (var panel = 0; panel < matrix.PanelCount; panel += most)
            Copy(matrix, axis, tables, target + (nint)panel * axis.PanelBytes, panel, Math.Min(most, matrix.PanelCount - panel));
        return target + (nint)matrix.PanelCount * axis.PanelBytes;
    }

    /// <summary>Waits until every copy is there.</summary>
    public void Finish() => _upload.Stream.Synchronize();

    public void Dispose() => _upload.Dispose();

    private void Copy(PackedMatrix matrix, CudaAxis axis, nint tables, nint target, int first, int panels)
    {
        var host = (byte*)_upload.Next();
        var (sourceBytes, scaleBytes, groups) = (matrix.Axis.PaddedLength * PanelLayout.Columns, panels * CudaExpertLayout.ScaleRowBytes, matrix.Axis.Groups);
        var weights = (long)panels * sourceBytes;
        Buffer.MemoryCopy((byte*)matrix.Weights + (long)first * sourceBytes, host, weights, weights);
        for (var group = 0; group < groups; group++)
            Buffer.MemoryCopy(
                (ushort*)matrix.Scales + (long)group * PanelLayout.PaddedColumns(matrix.Columns) + first * PanelLayout.Columns, host + weights + (long)group * scaleBytes, scaleBytes, scaleBytes);
        var raw = _upload.Send(weights + (long)groups * scaleBytes);
        _kernels.Repack(_upload.Stream, new RepackPanels
        {
            Source = raw,
            Target = target,
            Blocks = axis.Repack(tables),
            SourcePanelBytes = sourceBytes,
            TargetPanelBytes = axis.PanelBytes,
            Scales = raw + (nint)weights,
            ScalePanelStride = PanelLayout.Columns,
            ScaleGroupStride = panels * PanelLayout.Columns,
            TargetScales = axis.WeightBytes,
            BlockCount = matrix.Axis.BlockCount,
        }, panels, groups);
        _upload.Sent();
    }
}
