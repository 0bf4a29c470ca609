using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// Brings int8 matrices from the store's layout on the host to the device's: some panels at a time through two pinned buffers, so
/// that the host fills one while the device copies and repacks the other. Not for concurrent use.
/// </summary>
internal sealed unsafe class DenseUpload : IDisposable
{
    private const int Slots = 2;
    private const int SlotBytes = 8 << 20;
    private readonly DenseKernels _kernels;
    private readonly IKernelStream _stream;
    private readonly IDeviceBuffer[] _pinned = new IDeviceBuffer[Slots];
    private readonly IDeviceBuffer[] _raw = new IDeviceBuffer[Slots];
    private readonly IKernelEvent[] _done = new IKernelEvent[Slots];
    private readonly bool[] _used = new bool[Slots];
    private int _next;

    /// <param name="device">The device.</param>
    /// <param name="kernels">Repack.</param>
    /// <param name="most">Bytes of the widest panel with its scales.</param>
    public DenseUpload(IKernelDevice device, DenseKernels kernels, int most)
    {
        _kernels = kernels;
        _stream = device.CreateStream();
        var bytes = Math.Max(SlotBytes, most);
        for (var slot = 0; slot < Slots; slot++)
            (_pinned[slot], _raw[slot], _done[slot]) = (device.AllocatePinned(bytes), device.Allocate(bytes), device.CreateEvent());
    }

    /// <summary>Copies a matrix.</summary>
    /// <param name="matrix">int8.</param>
    /// <param name="axis">Its axis on the device.</param>
    /// <param name="tables">Where the device's tables begin.</param>
    /// <param name="target">Where panel 0 goes.</param>
    /// <returns>Where the panel after the last would go.</returns>
    public nint Copy(PackedMatrix matrix, CudaAxis axis, nint tables, nint target)
    {
        var sourceBytes = matrix.Axis.PaddedLength * PanelLayout.Columns;
        var most = Math.Max(1, (int)(_pinned[0].Bytes / (sourceBytes + matrix.Axis.Groups * CudaExpertLayout.ScaleRowBytes)));
        for (var panel = 0; panel < matrix.PanelCount; panel += most)
            Copy(matrix, axis, tables, target + (nint)panel * axis.PanelBytes, panel, Math.Min(most, matrix.PanelCount - panel));
        return target + (nint)matrix.PanelCount * axis.PanelBytes;
    }

    /// <summary>Waits until every copy is there.</summary>
    public void Finish() => _stream.Synchronize();

    public void Dispose()
    {
        _stream.Synchronize();
        for (var slot = 0; slot < Slots; slot++)
        {
            _pinned[slot].Dispose();
            _raw[slot].Dispose();
            _done[slot].Dispose();
        }
        _stream.Dispose();
    }

    private void Copy(PackedMatrix matrix, CudaAxis axis, nint tables, nint target, int first, int panels)
    {
        var slot = _next;
        _next = (_next + 1) % Slots;
        if (_used[slot])
            _done[slot].Wait();
        var host = (byte*)_pinned[slot].Address;
        var (sourceBytes, scaleBytes, groups) = (matrix.Axis.PaddedLength * PanelLayout.Columns, panels * CudaExpertLayout.ScaleRowBytes, matrix.Axis.Groups);
        var weights = (long)panels * sourceBytes;
        Buffer.MemoryCopy((byte*)matrix.Weights + (long)first * sourceBytes, host, weights, weights);
        for (var group = 0; group < groups; group++)
            Buffer.MemoryCopy(
                (ushort*)matrix.Scales + (long)group * PanelLayout.PaddedColumns(matrix.Columns) + first * PanelLayout.Columns, host + weights + (long)group * scaleBytes, scaleBytes, scaleBytes);
        var raw = _raw[slot].Address;
        _stream.CopyToDevice(raw, (nint)host, weights + (long)groups * scaleBytes);
        _kernels.Repack(_stream, new RepackPanels
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
        _stream.Record(_done[slot]);
        _used[slot] = true;
    }
}
