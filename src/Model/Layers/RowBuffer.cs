using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Model.Layers;

/// <summary>Rows of float32 in native memory; grows by doubling and keeps what it has.</summary>
internal sealed unsafe class RowBuffer(int stride) : IDisposable
{
    private NativeBuffer<float> _buffer = new(0);

    /// <summary>Elements from one row to the next.</summary>
    public int Stride => stride;

    public float* Pointer => _buffer.Pointer;

    /// <summary>Makes room for rows; their content is undefined afterwards.</summary>
    public void Resize(int rows)
    {
        if ((long)rows * stride <= _buffer.Length)
            return;
        var length = Math.Max((long)rows * stride, 2 * _buffer.Length);
        _buffer.Dispose();
        _buffer = new NativeBuffer<float>(length);
    }

    /// <summary>[Stride].</summary>
    public Span<float> Row(int row) => _buffer.Slice((long)row * stride, stride);

    public void Dispose() => _buffer.Dispose();
}
