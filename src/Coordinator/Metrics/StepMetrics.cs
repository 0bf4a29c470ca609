using System.Diagnostics;
using System.Diagnostics.Metrics;
using Grok1Cluster.Cluster.Metrics;
using Grok1Cluster.Coordinator.Dispatch;

namespace Grok1Cluster.Coordinator.Metrics;

/// <summary>Totals of one worker since the start. Written by the engine's thread, read by any.</summary>
public sealed class WorkerTotals(string id)
{
    private long _calls, _rows, _sentBytes, _receivedBytes, _stragglerTicks, _roundTicks, _computeUs;

    public string Id { get; } = id;

    public long Calls => Volatile.Read(ref _calls);

    /// <summary>Tokens sent to it, over all layers.</summary>
    public long Rows => Volatile.Read(ref _rows);

    public long SentBytes => Volatile.Read(ref _sentBytes);

    public long ReceivedBytes => Volatile.Read(ref _receivedBytes);

    /// <summary>How much longer layers took because it was the last to answer: until its answer from the last but one.</summary>
    public double StragglerSeconds => Stopwatch.GetElapsedTime(0, Volatile.Read(ref _stragglerTicks)).TotalSeconds;

    /// <summary>From call to answer, over all calls.</summary>
    public double RoundSeconds => Stopwatch.GetElapsedTime(0, Volatile.Read(ref _roundTicks)).TotalSeconds;

    public double ComputeSeconds => Volatile.Read(ref _computeUs) / 1e6;

    internal void Add(in CallTiming call)
    {
        Volatile.Write(ref _calls, _calls + 1);
        Volatile.Write(ref _rows, _rows + call.Rows);
        Volatile.Write(ref _sentBytes, _sentBytes + call.SentBytes);
        Volatile.Write(ref _receivedBytes, _receivedBytes + call.ReceivedBytes);
        Volatile.Write(ref _roundTicks, _roundTicks + (call.Received - call.Started));
        Volatile.Write(ref _computeUs, _computeUs + call.ComputeUs);
    }

    internal void AddStraggle(long ticks) => Volatile.Write(ref _stragglerTicks, _stragglerTicks + ticks);
}

/// <summary>Where the time of steps went: by layer, by worker, by phase of a call.</summary>
public sealed class StepMetrics
{
    private static readonly string[] Phases = ["send", "queue", "compute", "receive"];

    private readonly Histogram<double> _dispatch;
    private readonly Histogram<double> _stepSeconds;
    private readonly Histogram<double> _stepTokens;
    private readonly long[] _attentionTicks;
    private readonly long[] _expertTicks;
    private readonly string[] _layerNames;
    private readonly List<KeyValuePair<string, object?>[][]> _tags = [];
    private WorkerTotals[] _workers = [];

    public StepMetrics(Meter meter, int layers)
    {
        (_attentionTicks, _expertTicks) = (new long[layers], new long[layers]);
        _layerNames = [.. Enumerable.Range(0, layers).Select(layer => layer.ToString())];
        _dispatch = Histogram("grok1_dispatch_seconds", "Phases of a worker's call for one layer: send, queue (in the worker), compute, receive (both ways of the wire, and waiting to be read).", Buckets.Dispatch);
        _stepSeconds = Histogram("grok1_step_seconds", "Time of a step over all layers.", Buckets.Dispatch);
        _stepTokens = Histogram("grok1_step_tokens", "Tokens computed in a step, of prefill and decode.", Buckets.StepTokens);
        meter.CreateObservableCounter("grok1_layer_seconds_total", LayerSeconds, description: "Time of a layer by part: attention (with the router) or experts (from the first byte sent to the last sum added).");
        Worker("grok1_worker_calls_total", "Calls that a worker answered.", worker => worker.Calls);
        Worker("grok1_worker_rows_total", "Tokens sent to a worker, over all layers.", worker => worker.Rows);
        Worker("grok1_worker_compute_seconds_total", "Time that a worker computed.", worker => worker.ComputeSeconds);
        Worker("grok1_straggler_wait_seconds_total", "How much longer layers took because this worker answered last: from the last but one answer to its own.", worker => worker.StragglerSeconds);
        meter.CreateObservableCounter("grok1_wire_bytes_total", WireBytes, description: "Message bytes to (sent) and from (received) a worker.");

        Histogram<double> Histogram(string name, string help, double[] buckets) =>
            meter.CreateHistogram(name, null, help, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = buckets });
        void Worker(string name, string help, Func<WorkerTotals, double> value) => meter.CreateObservableCounter(
            name, () => Workers.Select(worker => new Measurement<double>(value(worker), new KeyValuePair<string, object?>("worker", worker.Id))), description: help);
    }

    /// <summary>Workers that were called since the start.</summary>
    public IReadOnlyList<WorkerTotals> Workers => Volatile.Read(ref _workers);

    /// <summary>Adds a finished step; on the engine's thread.</summary>
    public void Add(StepRecord step)
    {
        _stepSeconds.Record(Stopwatch.GetElapsedTime(step.Times.Started, step.Times.Ended).TotalSeconds);
        _stepTokens.Record(step.Times.Rows);
        for (var worker = _workers.Length; worker < step.Workers.Count; worker++)
            Join(step.Workers[worker]);
        foreach (ref readonly var round in step.Rounds)
        {
            Volatile.Write(ref _attentionTicks[round.Layer], _attentionTicks[round.Layer] + round.Before);
            Volatile.Write(ref _expertTicks[round.Layer], _expertTicks[round.Layer] + (round.Ended - round.Started));
            AddCalls(step, round);
        }
    }

    private void AddCalls(StepRecord step, in RoundTiming round)
    {
        var (last, lastReply, beforeLast) = (-1, 0L, 0L);
        for (var worker = 0; worker < step.Workers.Count; worker++)
        {
            ref readonly var call = ref step.Call(worker, round);
            if (call.Started == 0)
                continue;
            _workers[worker].Add(call);
            RecordPhases(worker, call);
            if (call.Received > lastReply)
                (last, lastReply, beforeLast) = (worker, call.Received, lastReply);
            else
                beforeLast = Math.Max(beforeLast, call.Received);
        }
        if (beforeLast > 0)
            _workers[last].AddStraggle(lastReply - beforeLast);
    }

    private void RecordPhases(int worker, in CallTiming call)
    {
        // The reply may be read before the thread that sent the call goes on.
        var sent = Math.Min(call.Sent, call.Received);
        var (queue, compute) = (call.QueueUs / 1e6, call.ComputeUs / 1e6);
        var tags = _tags[worker];
        _dispatch.Record(Seconds(call.Started, sent), tags[0]);
        _dispatch.Record(queue, tags[1]);
        _dispatch.Record(compute, tags[2]);
        _dispatch.Record(Math.Max(0, Seconds(sent, call.Received) - queue - compute), tags[3]);
    }

    private void Join(string worker)
    {
        _tags.Add([.. Phases.Select(phase => new KeyValuePair<string, object?>[] { new("worker", worker), new("phase", phase) })]);
        Volatile.Write(ref _workers, [.. _workers, new WorkerTotals(worker)]);
    }

    private IEnumerable<Measurement<double>> LayerSeconds() => _layerNames.SelectMany((name, layer) => new[]
    {
        Layer(name, "attention", Volatile.Read(ref _attentionTicks[layer])),
        Layer(name, "experts", Volatile.Read(ref _expertTicks[layer])),
    });

    private static Measurement<double> Layer(string layer, string part, long ticks) =>
        new(Seconds(0, ticks), new KeyValuePair<string, object?>("layer", layer), new KeyValuePair<string, object?>("part", part));

    private IEnumerable<Measurement<long>> WireBytes() => Workers.SelectMany(worker => new[]
    {
        new Measurement<long>(worker.SentBytes, new("worker", worker.Id), new("direction", "sent")),
        new Measurement<long>(worker.ReceivedBytes, new("worker", worker.Id), new("direction", "received")),
    });

    private static double Seconds(long start, long end) => Stopwatch.GetElapsedTime(start, end).TotalSeconds;
}
