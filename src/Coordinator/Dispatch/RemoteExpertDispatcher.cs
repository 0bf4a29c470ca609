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
/// order they came in, so the sum has the same bits every time.
/// </summary>
public sealed unsafe class RemoteExpertDispatcher : IExpertDispatcher
{
    /// <summary>How long a worker may take for a layer before it counts as lost.</summary>
    private static readonly TimeSpan CallTimeout = TimeSpan.FromMinutes(2);

    private readonly WorkerConnection?[] _workers;
    private readonly LayerRoutes[] _layers;
    private readonly LayerFlight[] _flights;
    private readonly ulong _fingerprint;
    private readonly ComputePool _pool;
    private readonly DelegateJob _addJob;
    private readonly int _width;
    private LayerFlight _landing = null!;

    /// <param name="plan">Where every bundle is.</param>
    /// <param name="workers">Connections to the workers that the plan names; not disposed.</param>
    /// <param name="fingerprint">The model's.</param>
    /// <param name="config">The model.</param>
    /// <param name="pool">Adds the replies; used between the coordinator's own jobs.</param>
    /// <param name="spin">How long the engine's thread looks for the last answer before it sleeps.</param>
    public RemoteExpertDispatcher(PlanLookup plan, IReadOnlyCollection<WorkerConnection> workers, string fingerprint, Grok1Config config, ComputePool pool, TimeSpan spin)
    {
        (_width, _pool, _fingerprint) = (config.EmbeddingDim, pool, ExpertMethods.ShortFingerprint(fingerprint));
        _workers = [.. plan.Workers.Select(id => workers.FirstOrDefault(worker => worker.Id == id))];
        _layers = [.. Enumerable.Range(0, config.LayerCount).Select(layer => new LayerRoutes(plan.Bundles(layer), Choose, plan.Plan, config.ExpertCount))];
        _flights = [.. Enumerable.Range(0, ExpertBatch.MaxSlots).Select(_ => new LayerFlight(_width, spin))];
        _addJob = new DelegateJob(AddRow);
    }

    /// <summary>Told of every call; null: nobody is.</summary>
    public IDispatchObserver? Observer { get; set; }

    /// <summary>Told how long batches were away; null: nobody is.</summary>
    public PipelineDepth? Depth { get; init; }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dispatch(ExpertBatch batch, CancellationToken cancel)
    {
        var (flight, layer) = (_flights[batch.Slot], _layers[batch.Layer]);
        flight.Begin(batch, layer);
        for (var route = 0; route < layer.Routes.Count; route++)
        {
            var call = flight.Calls[route];
            if (!call.Fill(batch, layer.Routes[route]))
                continue;
            call.Frame.Weights = _fingerprint;
            call.Frame.TimeoutMs = (uint)CallTimeout.TotalMilliseconds;
            flight.Expect();
            call.Send(_workers[layer.Routes[route].Worker]!);
        }
        flight.Sent();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Combine(ExpertBatch batch, CancellationToken cancel)
    {
        var flight = _flights[batch.Slot];
        try
        {
            if (!flight.Wait(CallTimeout, cancel))
                throw new DispatchException(Late(flight));
            for (var route = 0; route < flight.Routes.Routes.Count; route++)
                if (flight.Calls[route].Fault is { } fault)
                    throw fault;
        }
        catch
        {
            flight.Abandon();
            throw;
        }
        _landing = flight;
        _pool.Run(_addJob, batch.Rows);
        Observe(flight);
        flight.Release();
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>The first of a bundle's workers that is connected.</summary>
    private int Choose(PlacedBundle bundle)
    {
        foreach (var worker in bundle.Workers)
            if (_workers[worker] is not null)
                return worker;
        throw new DispatchException($"no worker of a bundle of layer {bundle.Bundle.Layer} is connected");
    }

    private void Observe(LayerFlight flight)
    {
        if (Depth is null && Observer is null)
            return;
        TimeSpan worker = default, away = default;
        for (var route = 0; route < flight.Routes.Routes.Count; route++)
            if (flight.Calls[route] is { Result: { } result } call)
            {
                var computed = TimeSpan.FromMicroseconds(result.ComputeUs);
                var waited = TimeSpan.FromMicroseconds(result.QueueUs);
                worker = worker > computed ? worker : computed;
                Observer?.Called(flight.Batch.Layer, flight.Batch.Slot, call.Worker.Id, call.Timing);
                away = away > call.Elapsed - computed - waited ? away : call.Elapsed - computed - waited;
            }
        Depth?.Returned(flight.Batch.Rows, worker, away);
    }

    private static string Late(LayerFlight flight)
    {
        var late = flight.Calls.Where(call => call.Rows > 0 && call.Result is null && call.Fault is null).Select(call => $"{call.Worker.Id} at {call.Worker.Address}");
        return $"no answer for layer {flight.Batch.Layer} within {CallTimeout.TotalSeconds:0} s from worker {string.Join(", ", late)}";
    }

    /// <summary>Adds the replies for one row, in plan order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddRow(int row)
    {
        var flight = _landing;
        var sum = flight.Batch.SumRow(row);
        var exact = flight.Batch.Input.Format == Kernels.Formats.ActivationFormat.Float32;
        var order = flight.Routes.Order;
        for (var bundle = 0; bundle < order.Count; bundle++)
        {
            var (route, place) = order[bundle];
            var call = flight.Calls[route];
            if (call.Rows == 0 || call.ReplyRow(row) is var replyRow && replyRow < 0)
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
