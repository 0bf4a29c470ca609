using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// Experts in worker processes: one call a worker a layer. The engine's thread writes the calls, the connections' threads
/// take the answers in, and the last of them wakes the engine. Replies are added bundle by bundle in plan order, whatever
/// order they came in and whoever sent them, so the sum has the same bits every time. What fails, is late or is missing is
/// mended by <see cref="FlightRecovery"/>.
/// </summary>
public sealed unsafe class RemoteExpertDispatcher : IExpertDispatcher
{
    /// <summary>How often a late call is looked at that nobody can be asked beside.</summary>
    private static readonly TimeSpan LateTick = TimeSpan.FromMilliseconds(5);

    private readonly DispatchWorkers _workers;
    private readonly SlownessReview _review;
    private readonly ShadowCalls _shadows;
    private readonly LayerRoutes?[] _layers;
    private readonly LayerFlight[] _flights;
    private readonly TimeSpan _lostWorkerTimeout;
    private readonly TimeSpan _spin;
    private readonly ComputePool _pool;
    private readonly DelegateJob _addJob;
    private readonly int _width;
    private LayerFlight _landing = null!;

    /// <param name="plan">Where every bundle is.</param>
    /// <param name="workers">Those that the plan names; not disposed.</param>
    /// <param name="fingerprint">The model's.</param>
    /// <param name="config">The model.</param>
    /// <param name="pool">Adds the replies; used between the coordinator's own jobs.</param>
    /// <param name="spin">How long the engine's thread looks for the last answer before it sleeps.</param>
    /// <param name="lostWorkerTimeout">How long a bundle without a ready worker is waited for.</param>
    /// <param name="compareEvery">Of so many calls one is compared with another worker's answer; 0: none.</param>
    /// <param name="arbiter">Says which of two workers is right where there is no third; null: nobody does.</param>
    public RemoteExpertDispatcher(PlanLookup plan, WorkerPool workers, string fingerprint, Grok1Config config, ComputePool pool, TimeSpan spin, TimeSpan lostWorkerTimeout, int compareEvery, LocalArbiter? arbiter)
    {
        (_width, _pool, _spin, _lostWorkerTimeout) = (config.EmbeddingDim, pool, spin, lostWorkerTimeout);
        _workers = new DispatchWorkers(plan, workers, fingerprint, config.ExpertCount);
        _review = new SlownessReview(_workers, config.LayerCount);
        _shadows = new ShadowCalls(_workers, _review, _width, compareEvery, arbiter);
        _layers = new LayerRoutes?[config.LayerCount];
        _flights = [.. Enumerable.Range(0, ExpertBatch.MaxSlots).Select(_ => new LayerFlight(_width, spin))];
        _addJob = new DelegateJob(AddRow);
        workers.Changed += Wake;
    }

    /// <summary>Told of every call; null: nobody is.</summary>
    public IDispatchObserver? Observer { get; set; }

    /// <summary>Told how long batches were away; null: nobody is.</summary>
    public PipelineDepth? Depth { get; init; }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dispatch(ExpertBatch batch, CancellationToken cancel)
    {
        var flight = _flights[batch.Slot];
        if (!flight.IsFree)
        {
            // A step ended with an error while this batch was away.
            flight.Abandon();
            flight = Renew(batch.Slot);
        }
        _review.Look();
        flight.Begin(batch, Routes(batch.Layer));
        _workers.SendAll(flight);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Combine(ExpertBatch batch, CancellationToken cancel)
    {
        var flight = _flights[batch.Slot];
        var patience = _workers.Patience(flight);
        while (!flight.Wait(patience, cancel) && !_workers.NeedHelp(flight))
            patience = LateTick;
        if (!flight.IsComplete)
        {
            CombineDisturbed(flight, cancel);
            return;
        }
        Add(flight);
        Observe(flight);
        _shadows.Observe(flight);
        flight.Release();
    }

    public ValueTask DisposeAsync()
    {
        _workers.Pool.Changed -= Wake;
        return ValueTask.CompletedTask;
    }

    /// <summary>The same with whatever it takes to have every bundle's answer; the flight is not used again.</summary>
    private void CombineDisturbed(LayerFlight flight, CancellationToken cancel)
    {
        var recovery = new FlightRecovery(flight, _workers, _lostWorkerTimeout);
        try
        {
            recovery.Run(cancel);
            Add(flight);
            foreach (var call in recovery.Calls)
                if (call is { IsEnded: true, Result: not null })
                    Observer?.Called(flight.Batch.Layer, flight.Batch.Slot, call.Worker.Id, call.Timing);
        }
        finally
        {
            recovery.Abandon();
            Renew(flight.Batch.Slot);
        }
    }

    private LayerFlight Renew(int slot)
    {
        var flight = new LayerFlight(_width, _spin);
        Volatile.Write(ref _flights[slot], flight);
        return flight;
    }

    /// <summary>Made again when a worker was lost or came back.</summary>
    private LayerRoutes Routes(int layer) =>
        _layers[layer] is { } routes && routes.Version == _workers.Pool.Version ? routes : _layers[layer] = _workers.Routes(layer);

    /// <summary>Who waits for a worker looks whether it is back. A flight that waits is not exchanged.</summary>
    private void Wake(WorkerLink link)
    {
        for (var slot = 0; slot < _flights.Length; slot++)
            Volatile.Read(ref _flights[slot]).Wake();
    }

    private void Add(LayerFlight flight)
    {
        _landing = flight;
        _pool.Run(_addJob, flight.Batch.Rows);
    }

    private void Observe(LayerFlight flight)
    {
        TimeSpan worker = default, away = default;
        for (var route = 0; route < flight.Routes.Routes.Count; route++)
            if (flight.Calls[route] is { Result: { } result } call)
            {
                var computed = TimeSpan.FromMicroseconds(result.ComputeUs);
                var waited = TimeSpan.FromMicroseconds(result.QueueUs);
                worker = worker > computed ? worker : computed;
                _workers.Learn(call);
                Observer?.Called(flight.Batch.Layer, flight.Batch.Slot, call.Worker.Id, call.Timing);
                away = away > call.Elapsed - computed - waited ? away : call.Elapsed - computed - waited;
            }
        Depth?.Returned(flight.Batch.Rows, worker, away);
    }

    /// <summary>Adds the replies for one row, in plan order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddRow(int row)
    {
        var flight = _landing;
        var sum = flight.Batch.SumRow(row);
        var exact = flight.Batch.Input.Format == Kernels.Formats.ActivationFormat.Float32;
        foreach (var (call, place) in flight.Sources)
        {
            if (call is null || call.Rows == 0 || call.ReplyRow(row) is var replyRow && replyRow < 0)
                continue;
            var first = (place * call.Rows + replyRow) * _width;
            if (exact)
            {
                Add(MemoryMarshal.Cast<byte, float>(call.Result!.Values).Slice(first, _width), sum);
                continue;
            }
            var widened = new Span<float>(ThreadScratch.Floats(_width), _width);
            Bf16.Widen(MemoryMarshal.Cast<byte, ushort>(call.Result!.Values).Slice(first, _width), widened);
            Add(widened, sum);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add(ReadOnlySpan<float> values, Span<float> sum)
    {
        for (var i = 0; i < sum.Length; i++)
            sum[i] += values[i];
    }
}
