using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.ExpertWorker;

/// <summary>Computes checked calls, one at a time, on the worker's compute threads. Not for concurrent use.</summary>
public sealed unsafe class CallExecutor : IDisposable
{
    private readonly Path _fast;
    private readonly Path _exact;
    private readonly int _width;
    private NativeBuffer<float> _sum = new(0);
    private int[] _experts = [];

    /// <param name="tiles">The weights.</param>
    /// <param name="device">Where the work runs; not disposed.</param>
    public CallExecutor(TileStore tiles, IExpertDevice device)
    {
        _width = tiles.Model.Config.EmbeddingDim;
        _exact = new Path(tiles, device, ActivationFormat.Float32);
        _fast = tiles.Model.ExpertLayout.Format.IsQuantised() ? new Path(tiles, device, ActivationFormat.Int8Blocks) : _exact;
    }

    /// <summary>Computes a call: [bundles, tokens, EmbeddingDim], each bundle added in float32 and rounded once.</summary>
    /// <param name="request">Checked.</param>
    /// <param name="result">Receives values and checksum.</param>
    /// <param name="between">Called between two quanta of the work, with nothing of this executor in use by the pool; or null.</param>
    public void Run(ExpertRequest request, ResultFrame result, Action? between)
    {
        var call = request.Frame;
        var path = request.IsExact ? _exact : _fast;
        var length = (int)(call.Tokens * _width);
        if (_sum.Length < length)
        {
            _sum.Dispose();
            _sum = new NativeBuffer<float>(2L * length);
        }
        if (_experts.Length < call.Experts.Length)
            _experts = new int[2 * call.Experts.Length];
        for (var i = 0; i < call.Experts.Length; i++)
            _experts[i] = call.Experts[i];

        request.CopyTo(path.Input);
        var bytes = length * request.ResultElementBytes;
        result.Resize(request.BundleCount * bytes);
        for (var bundle = 0; bundle < request.BundleCount; bundle++)
        {
            var sum = _sum.Slice(0, length);
            sum.Clear();
            path.Executor.Run(request.Tiles(bundle), path.Input, _experts.AsSpan(0, call.Experts.Length), MemoryMarshal.Cast<byte, float>(call.Gates), _sum.Pointer, between);
            var target = result.Values.Slice(bundle * bytes, bytes);
            if (call.ResultFormat == TensorFormat.Float32)
                MemoryMarshal.AsBytes(sum).CopyTo(target);
            else
                Bf16.Round(sum, MemoryMarshal.Cast<byte, ushort>(target));
        }
        result.Checksum = Crc32C.Compute(result.Values);
    }

    public void Dispose()
    {
        _fast.Dispose();
        _exact.Dispose();
        _sum.Dispose();
    }

    /// <summary>Buffers and kernels of one activation format.</summary>
    private sealed class Path : IDisposable
    {
        private readonly IExpertFeedForward _feedForward;

        public Path(TileStore tiles, IExpertDevice device, ActivationFormat format)
        {
            Input = new Activations(tiles.Model.ExpertLayout.InputAxis, format);
            _feedForward = device.Create(format);
            Executor = new BundleExecutor(_feedForward);
        }

        public Activations Input { get; }

        public BundleExecutor Executor { get; }

        public void Dispose()
        {
            Input.Dispose();
            _feedForward.Dispose();
        }
    }
}
