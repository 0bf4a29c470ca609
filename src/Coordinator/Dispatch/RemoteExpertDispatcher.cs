using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// Experts in worker processes: one call a worker a layer. Replies are added bundle by bundle in plan order, whatever
/// order they came in, so the sum has the same bits every time.
/// </summary>
public sealed class RemoteExpertDispatcher : IExpertDispatcher
{
    /// <summary>How long a worker may take for a layer before it counts as lost.</summary>
    private static readonly TimeSpan CallTimeout = TimeSpan.FromMinutes(2);

    private readonly PlanLookup _plan;
    private readonly WorkerConnection?[] _workers;
    private readonly IReadOnlyList<PlacedBundle>[][] _bundles;
    private readonly CallBuilder _builder;
    private readonly Share[] _shares;
    private readonly int _width;

    /// <param name="plan">Where every bundle is.</param>
    /// <param name="workers">Connections to the workers that the plan names; not disposed.</param>
    /// <param name="fingerprint">The model's.</param>
    /// <param name="width">EmbeddingDim.</param>
    /// <param name="layers">LayerCount.</param>
    public RemoteExpertDispatcher(PlanLookup plan, IReadOnlyCollection<WorkerConnection> workers, string fingerprint, int width, int layers)
    {
        (_plan, _width) = (plan, width);
        _workers = [.. plan.Workers.Select(id => workers.FirstOrDefault(worker => worker.Id == id))];
        _bundles = [.. Enumerable.Range(0, layers).Select(layer => Enumerable.Range(0, plan.Workers.Length)
            .Select(worker => (IReadOnlyList<PlacedBundle>)plan.Bundles(layer).ToArray().Where(bundle => Choose(bundle) == worker).ToArray()).ToArray())];
        _builder = new CallBuilder(plan.Plan, ExpertMethods.ShortFingerprint(fingerprint), CallTimeout);
        _shares = [.. plan.Workers.Select(_ => new Share())];
    }

    /// <summary>Told of every call.</summary>
    public IDispatchObserver? Observer { get; set; }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dispatch(ExpertBatch batch, CancellationToken cancel)
    {
        var bundles = _bundles[batch.Layer];
        for (var worker = 0; worker < _shares.Length; worker++)
        {
            var share = _shares[worker];
            share.Reply = null;
            share.Times.Started = Stopwatch.GetTimestamp();
            if (bundles[worker].Count > 0 && _builder.Build(batch, bundles[worker], share.Rows) is { } call)
                share.Reply = SendAsync(_workers[worker]!, call, share.Times, cancel);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Combine(ExpertBatch batch, CancellationToken cancel)
    {
        for (var worker = 0; worker < _shares.Length; worker++)
            if (_shares[worker].Reply is { } reply)
            {
                _shares[worker].Result = Check(reply.GetAwaiter().GetResult(), worker, batch);
                Observer?.Called(batch.Layer, _plan.Workers[worker], _shares[worker].Timing());
            }
        foreach (var bundle in _plan.Bundles(batch.Layer))
        {
            var worker = Choose(bundle);
            if (_shares[worker].Reply is not null)
                Add(batch, _shares[worker], IndexOf(_bundles[batch.Layer][worker], bundle));
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>The first of a bundle's workers that is connected.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int Choose(PlacedBundle bundle)
    {
        foreach (var worker in bundle.Workers)
            if (_workers[worker] is not null)
                return worker;
        throw new DispatchException($"no worker of a bundle of layer {bundle.Bundle.Layer} is connected");
    }

    private static async Task<ExpertResult> SendAsync(WorkerConnection worker, ExpertCall call, CallTimes times, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(CallTimeout);
        try
        {
            return await worker.CallAsync(call, times, limit.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new DispatchException($"worker {worker.Id} at {worker.Address} did not answer for layer {call.Layer} within {CallTimeout.TotalSeconds:0} s");
        }
    }

    private ExpertResult Check(ExpertResult result, int worker, ExpertBatch batch)
    {
        var share = _shares[worker];
        var expected = (long)_bundles[batch.Layer][worker].Count * share.Rows.Count * _width * (IsExact(batch) ? sizeof(float) : sizeof(ushort));
        if (result.Values.Length != expected)
            throw new DispatchException($"worker {_plan.Workers[worker]} sent {result.Values.Length} bytes for layer {batch.Layer}, {expected} are expected");
        if (Crc32C.Compute(result.Values.Span) != result.Checksum)
            throw new DispatchException($"the result of worker {_plan.Workers[worker]} for layer {batch.Layer} does not have its checksum");
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Add(ExpertBatch batch, Share share, int bundle)
    {
        var elements = share.Rows.Count * _width;
        if (IsExact(batch))
        {
            var values = MemoryMarshal.Cast<byte, float>(share.Result!.Values.Span).Slice(bundle * elements, elements);
            for (var i = 0; i < share.Rows.Count; i++)
                AddTo(batch.SumRow(share.Rows[i]), values.Slice(i * _width, _width));
            return;
        }
        var packed = MemoryMarshal.Cast<byte, ushort>(share.Result!.Values.Span).Slice(bundle * elements, elements);
        share.Widened = share.Widened.Length < _width ? new float[_width] : share.Widened;
        for (var i = 0; i < share.Rows.Count; i++)
        {
            Bf16.Widen(packed.Slice(i * _width, _width), share.Widened.AsSpan(0, _width));
            AddTo(batch.SumRow(share.Rows[i]), share.Widened.AsSpan(0, _width));
        }
    }

    private static bool IsExact(ExpertBatch batch) => batch.Input.Format == Kernels.Formats.ActivationFormat.Float32;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int IndexOf(IReadOnlyList<PlacedBundle> bundles, PlacedBundle bundle)
    {
        for (var i = 0; i < bundles.Count; i++)
            if (bundles[i].Index == bundle.Index)
                return i;
        throw new InvalidOperationException($"bundle {bundle.Index} of layer {bundle.Bundle.Layer} was not sent");
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddTo(Span<float> sum, ReadOnlySpan<float> values)
    {
        for (var i = 0; i < sum.Length; i++)
            sum[i] += values[i];
    }

    /// <summary>One worker's part of the layer that is away.</summary>
    private sealed class Share
    {
        public List<int> Rows { get; } = [];

        public Task<ExpertResult>? Reply { get; set; }

        public ExpertResult? Result { get; set; }

        public CallTimes Times { get; } = new();

        public float[] Widened { get; set; } = [];

        public CallTiming Timing() => new(
            Times.Started, Times.Sent, Times.Received, Result!.QueueUs, Result.ComputeUs, Rows.Count, Times.SentBytes, Result.CalculateSize());
    }
}
