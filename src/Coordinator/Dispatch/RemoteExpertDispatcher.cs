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

    private readonly WorkerPool _workers;
    private readonly PlanGeometry _geometry;
    private readonly string _fingerprint;
    private readonly Grok1Config _config;
    private readonly int _compareEvery;
    private readonly LocalArbiter? _arbiter;
    private readonly LayerFlight[] _flights;
    private readonly List<(Plan Plan, TaskCompletionSource Kept)> _planWaits = [];

    /// <summary>Guards which plan a flight begins with, and the waits for it.</summary>
    private readonly Lock _planGate = new();
    private readonly TimeSpan _lostWorkerTimeout;
    private readonly TimeSpan _spin;
    private readonly ComputePool _pool;
    private readonly DelegateJob _addJob;
    private readonly int _width;
    private PlanInUse _present;
    private LayerFlight _landing = null!;

    /// <param name="geometry">What plans are made of.</param>
    /// <param name="workers">The plan, and those that it names; not disposed.</param>
    /// <param name="fingerprint">The model's.</param>
    /// <param name="config">The model.</param>
    /// <param name="pool">Adds the replies; used between the coordinator's own jobs.</param>
    /// <param name="spin">How long the engine's thread looks for the last answer before it sleeps.</param>
    /// <param name="lostWorkerTimeout">How long a bundle without a ready worker is waited for.</param>
    /// <param name="compareEvery">Of so many calls one is compared with another worker's answer; 0: none.</param>
    /// <param name="arbiter">Says which of two workers is right where there is no third; null: nobody does.</param>
    public RemoteExpertDispatcher(
        PlanGeometry geometry, WorkerPool workers, string fingerprint, Grok1Config config, ComputePool pool, TimeSpan spin, TimeSpan lostWorkerTimeout, int compareEvery, LocalArbiter? arbiter)
    {
        (_width, _pool, _spin, _lostWorkerTimeout) = (config.EmbeddingDim, pool, spin, lostWorkerTimeout);
        (_geometry, _workers, _fingerprint, _config) = (geometry, workers, fingerprint, config);
        (_compareEvery, _arbiter) = (compareEvery, arbiter);
        _present = For(workers.Plan);
        _flights = [.. Enumerable.Range(0, ExpertBatch.MaxSlots).Select(_ => new LayerFlight(_width, spin))];
        _addJob = new DelegateJob(AddRow);
        workers.Changed += Wake;
        workers.PlanChanged += WakeAll;
    }

    /// <summary>Told of every call; null: nobody is.</summary>
    public IDispatchObserver? Observer { get; set; }

    /// <summary>Told how long batches were away; null: nobody is.</summary>
    public PipelineDepth? Depth { get; init; }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dispatch(ExpertBatch batch, CancellationToken cancel)
    {
        var flight = _flights[batch.Slot];
        lock (_planGate)
        {
            if (!ReferenceEquals(_present.Workers.Plan, _workers.Plan))
            {
                _present.Shadows.End();
                _present = For(_workers.Plan);
            }
            _present.Review.Look();
            flight.Begin(batch, _present.Workers);
        }
        flight.Workers.SendAll(flight);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Combine(ExpertBatch batch, CancellationToken cancel)
    {
        var flight = _flights[batch.Slot];
        var patience = flight.Workers.Patience(flight);
        while (!flight.Wait(patience, cancel) && !flight.Workers.NeedHelp(flight))
            patience = LateTick;
        if (!flight.IsComplete)
        {
            CombineDisturbed(flight, cancel);
            return;
        }
        Add(flight);
        Observe(flight);
        if (flight.Workers == _present.Workers)
            _present.Shadows.Observe(flight);
        flight.Release();
        TellKept();
    }

    public void Abandon()
    {
        foreach (var flight in _flights)
            if (!flight.IsFree)
            {
                flight.Abandon();
                Renew(flight.Batch.Slot);
            }
        TellKept();
    }

    /// <summary>Completes when no call is under way that was made by an earlier plan than this one, which the workers' pool has already.</summary>
    public Task WaitUntilKeptAsync(Plan plan, CancellationToken cancel)
    {
        lock (_planGate)
        {
            if (IsKept(plan))
                return Task.CompletedTask;
            var kept = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _planWaits.Add((plan, kept));
            return kept.Task.WaitAsync(cancel);
        }
    }

    public ValueTask DisposeAsync()
    {
        _workers.Changed -= Wake;
        _workers.PlanChanged -= WakeAll;
        return ValueTask.CompletedTask;
    }

    private PlanInUse For(Plan plan)
    {
        var workers = new DispatchWorkers(new PlanLookup(plan, _geometry), _workers, _fingerprint, _config);
        var review = new SlownessReview(workers, _config.LayerCount);
        return new PlanInUse(workers, review, new ShadowCalls(workers, review, _width, _compareEvery, _arbiter));
    }

    private bool IsKept(Plan plan)
    {
        foreach (var flight in _flights)
            if (!flight.IsFree && flight.Workers.Plan.Epoch < plan.Epoch)
                return false;
        return true;
    }

    private void TellKept()
    {
        lock (_planGate)
            for (var i = _planWaits.Count - 1; i >= 0; i--)
                if (IsKept(_planWaits[i].Plan))
                {
                    _planWaits[i].Kept.TrySetResult();
                    _planWaits.RemoveAt(i);
                }
    }

    /// <summary>The same with whatever it takes to have every bundle's answer; the flight is not used again.</summary>
    private void CombineDisturbed(LayerFlight flight, CancellationToken cancel)
    {
        var recovery = new FlightRecovery(flight, _lostWorkerTimeout);
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
            TellKept();
        }
    }

    private void Renew(int slot) => Volatile.Write(ref _flights[slot], new LayerFlight(_width, _spin));

    /// <summary>Who waits for a worker looks whether it is back. A flight that waits is not exchanged.</summary>
    private void Wake(WorkerLink link, WorkerChange change) => WakeAll(_workers.Plan);

    private void WakeAll(Plan plan)
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
                flight.Workers.Learn(call);
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

    /// <summary>A plan and who serves it, who of them is slow, and what is asked of them beside.</summary>
    private sealed record PlanInUse(DispatchWorkers Workers, SlownessReview Review, ShadowCalls Shadows);
}
