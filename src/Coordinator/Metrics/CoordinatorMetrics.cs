using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text.Json;
using Grok1Cluster.Cluster.Load;
using Grok1Cluster.Cluster.Metrics;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Coordinator.Logging;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Tracing;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Coordinator.Workers.Health;
using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Metrics;

/// <summary>
/// The coordinator's instruments and what they are fed from. Those of the process are there from the start, those of the
/// cluster and the engine once there are any.
/// </summary>
public sealed class CoordinatorMetrics : IEngineObserver, IDisposable
{
    /// <summary>The meter's name, for other listeners than the Prometheus endpoint.</summary>
    public const string MeterName = "Grok1Cluster.Coordinator";

    private readonly Meter _meter = new(MeterName);
    private readonly Counter<long> _httpRequests;
    private readonly CoordinatorLog _log;
    private readonly TimeProvider _time;

    public CoordinatorMetrics(Readiness readiness, CoordinatorLog log, TimeProvider time)
    {
        (_log, _time) = (log, time);
        Collector = new MetricCollector(_meter);
        ProcessMetrics.AddTo(_meter);
        Requests = new RequestMetrics(_meter);
        _httpRequests = _meter.CreateCounter<long>("grok1_http_requests_total", description: "HTTP requests answered, by route and status.");
        Gauge("grok1_ready", "1 while requests are taken and every tile has a worker, 0 while weights load, tiles are missing or the coordinator drains.", () => readiness.Phase == ServingPhase.Ready && readiness.Lacks() is null ? 1 : 0);
        Gauge("grok1_loaded_ratio", "Share of the weights that is in memory.", () => readiness.Progress.Share);
    }

    /// <summary>Everything recorded so far.</summary>
    public MetricCollector Collector { get; }

    public RequestMetrics Requests { get; }

    /// <summary>Where steps spend their time; null until there is a model.</summary>
    public StepMetrics? Steps { get; private set; }

    /// <summary>The latest step in detail; null until there is a model.</summary>
    public StepRecorder? Recorder { get; private set; }

    /// <summary>Watches a cluster; has to be called before its engine is started with this object as its observer.</summary>
    public void Watch(ClusterSession session)
    {
        var layers = session.Store.Config.LayerCount;
        var steps = new StepMetrics(_meter, layers);
        var recorder = new StepRecorder(layers, _time);
        recorder.Ended = step =>
        {
            steps.Add(step);
            if (step.Times.Traced is not null)
                StepTracer.Write(step);
        };
        session.Observe(recorder);
        (Steps, Recorder) = (steps, recorder);

        Info("grok1_build_info", "Always 1; what runs, in its labels.", new("version", Product.Version), new("model", session.Store.Name), new("precision", session.Options.Precision.ToString().ToLowerInvariant()));
        Gauge("grok1_tiles_missing", "Tiles of the plan that no connected worker holds.", () => WorkerCoverage.Of(session).Missing.Length);
        Gauge("grok1_plan_epoch", "Epoch of the plan; 0 without workers.", () => session.Plan?.Epoch ?? 0);
        PerWorker("grok1_worker_up", "1 while the connection to a worker stands.", session, worker => worker.IsLost ? 0 : 1);
        PerWorker("grok1_worker_tiles", "Tiles that a worker holds.", session, worker => worker.Description.Tiles.Count);
        _meter.CreateObservableCounter("grok1_dispatch_outcomes_total", () => Outcomes(session),
            description: "What became of calls, by worker: ok (a sound answer that was used), lost (its connection broke), wrong (an answer that was altered, not finite or of another length, or the worker's own fault), late (longer than earlier calls let expect), overdue (so long that another was asked), retried (to it, because an earlier call had failed or could not be made), hedged (to it, because another worker was late), compared (with another worker's answer), differed (from it).");
        _meter.CreateObservableGauge("grok1_worker_standing", () => Standings(session), description: "1 for the standing that a worker has: healthy, demoted (slow: asked after others), set_aside (wrong answers: asked where there is nobody else), distrusted (computed something else than two others: not asked).");
        PerWorker("grok1_worker_weight_bytes", "Weights that a worker holds.", session, worker => worker.Description.Bytes);
    }

    /// <summary>Watches the engine of the cluster.</summary>
    public void Watch(InferenceEngine engine, ExpertLoad load)
    {
        Gauge("grok1_requests_running", "Sequences that hold KV blocks.", () => engine.Statistics.Running);
        Gauge("grok1_requests_waiting", "Sequences in the queue.", () => engine.Statistics.Waiting);
        Gauge("grok1_kv_cache_usage_ratio", "Share of the KV blocks that sequences hold.", () => (double)engine.Statistics.KvBlocksUsed / engine.Statistics.KvBlocks);
        Counter("grok1_prompt_tokens_total", "Prompt tokens computed.", () => engine.Statistics.PromptTokens);
        Counter("grok1_generation_tokens_total", "Tokens generated.", () => engine.Statistics.GeneratedTokens);
        Counter("grok1_prefix_cache_hit_tokens_total", "Prompt tokens that the prefix cache had.", () => engine.Statistics.CachedTokens);
        Counter("grok1_preemptions_total", "Times that a sequence had to give back its KV blocks.", () => engine.Statistics.Preemptions);
        Counter("grok1_steps_total", "Steps computed.", () => engine.Statistics.Steps);
        _meter.CreateObservableCounter("grok1_moe_expert_tokens_total", () => ExpertTokens(load), description: "Tokens routed to an expert of a layer.");
        _meter.CreateObservableGauge("grok1_moe_imbalance_ratio", () => Imbalance(load), description: "Tokens of a layer's busiest expert over the mean of its experts, since the start; 1 is even.");
    }

    /// <summary>An HTTP request was answered.</summary>
    /// <param name="route">A route's pattern, never a path that a client made up.</param>
    public void HttpRequest(string method, string route, int status) =>
        _httpRequests.Add(1, new KeyValuePair<string, object?>("method", method), new("route", route), new("status", status));

    public void TokenGenerated(SequenceTimes sequence, long now) => Requests.TokenGenerated(sequence, now);

    public void StepEnded(in StepTimes step) => Recorder?.StepEnded(step);

    public void SequenceEnded(SequenceTimes sequence, SequenceOutcome outcome)
    {
        Requests.SequenceEnded(sequence, outcome);
        StepTracer.Write(sequence, outcome);
        _log.SequenceEnded(sequence, outcome, Seconds(sequence, sequence.Admitted), Seconds(sequence, sequence.FirstToken), Seconds(sequence, sequence.Ended));
    }

    public void Dispose()
    {
        Collector.Dispose();
        _meter.Dispose();
    }

    /// <summary>From the sequence's arrival; 0 for what did not happen.</summary>
    private static double Seconds(SequenceTimes sequence, long timestamp) =>
        timestamp == 0 ? 0 : Math.Round(Stopwatch.GetElapsedTime(sequence.Submitted, timestamp).TotalSeconds, 6);

    private void Gauge(string name, string help, Func<double> value) => _meter.CreateObservableGauge(name, value, description: help);

    private void Counter(string name, string help, Func<long> value) => _meter.CreateObservableCounter(name, value, description: help);

    private void Info(string name, string help, params KeyValuePair<string, object?>[] labels) =>
        _meter.CreateObservableGauge(name, () => new Measurement<long>(1, labels), description: help);

    private void PerWorker(string name, string help, ClusterSession session, Func<WorkerConnection, long> value) => _meter.CreateObservableGauge(
        name, () => session.Workers.Select(worker => new Measurement<long>(value(worker), new KeyValuePair<string, object?>("worker", worker.Id))), description: help);

    private static IEnumerable<Measurement<long>> Outcomes(ClusterSession session) => (session.WorkerPool?.Links ?? []).SelectMany(link =>
        new[]
        {
            ("ok", link.Outcomes.Ok), ("lost", link.Outcomes.Lost), ("wrong", link.Outcomes.Wrong), ("late", link.Outcomes.Late), ("overdue", link.Outcomes.Overdue),
            ("retried", link.Outcomes.Retried), ("hedged", link.Outcomes.Hedged), ("compared", link.Outcomes.Compared), ("differed", link.Outcomes.Differed),
        }.Select(outcome => new Measurement<long>(outcome.Item2, new("worker", link.Id), new KeyValuePair<string, object?>("outcome", outcome.Item1))));

    private static IEnumerable<Measurement<long>> Standings(ClusterSession session) => (session.WorkerPool?.Links ?? []).SelectMany(link =>
        Enum.GetValues<WorkerStanding>().Select(standing => new Measurement<long>(
            link.Health.Standing == standing ? 1 : 0, new("worker", link.Id), new KeyValuePair<string, object?>("standing", JsonNamingPolicy.SnakeCaseLower.ConvertName(standing.ToString())))));

    private static IEnumerable<Measurement<long>> ExpertTokens(ExpertLoad load) => load.Snapshot().SelectMany((experts, layer) => experts.Select((tokens, expert) =>
        new Measurement<long>(tokens, new("layer", layer), new KeyValuePair<string, object?>("expert", expert))));

    private static IEnumerable<Measurement<double>> Imbalance(ExpertLoad load) => load.Snapshot()
        .Select((experts, layer) => (layer, mean: experts.Average(), max: experts.Max()))
        .Where(layer => layer.mean > 0)
        .Select(layer => new Measurement<double>(layer.max / layer.mean, new KeyValuePair<string, object?>("layer", layer.layer)));
}
