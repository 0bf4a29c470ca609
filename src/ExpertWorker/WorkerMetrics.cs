using System.Diagnostics.Metrics;
using System.Text.Json;
using Grok1Cluster.Cluster.Load;
using Grok1Cluster.Cluster.Metrics;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.ExpertWorker;

/// <summary>A worker's instruments. Calls are counted by the computing thread; any thread reads.</summary>
public sealed class WorkerMetrics : IDisposable
{
    /// <summary>The meter's name, for other listeners than the Prometheus endpoint.</summary>
    public const string MeterName = "Grok1Cluster.ExpertWorker";

    private readonly Meter _meter = new(MeterName);
    private readonly Histogram<double> _queueTime;
    private readonly Histogram<double> _computeTime;
    private readonly Counter<long> _refusals;
    private readonly ExpertLoad _load;
    private readonly int[] _chosen = new int[1];
    private long _calls;
    private long _rows;
    private long _received;
    private long _sent;

    public WorkerMetrics(string id, TileStore tiles)
    {
        var config = tiles.Model.Config;
        _load = new ExpertLoad(config.LayerCount, config.ExpertCount, TimeProvider.System);
        Collector = new MetricCollector(_meter);
        ProcessMetrics.AddTo(_meter);
        _queueTime = Seconds("grok1_expert_worker_queue_seconds", "Time that a call waited for the computing thread.");
        _computeTime = Seconds("grok1_expert_worker_compute_seconds", "Time of a call's computation.");
        _refusals = _meter.CreateCounter<long>("grok1_expert_worker_refused_calls_total", description: "Calls that were not computed, by reason.");
        // A rate needs a value from before the first refusal.
        foreach (var reason in Enum.GetValues<CallFailure.Types.Reason>().Where(reason => reason != CallFailure.Types.Reason.Unspecified))
            _refusals.Add(0, Label(reason));
        Counter("grok1_expert_worker_calls_total", "Calls computed.", () => Calls);
        Counter("grok1_expert_worker_rows_total", "Tokens of the calls computed.", () => Volatile.Read(ref _rows));
        Counter("grok1_expert_worker_received_bytes_total", "Payload bytes of the calls computed.", () => Volatile.Read(ref _received));
        Counter("grok1_expert_worker_sent_bytes_total", "Payload bytes of their results.", () => Volatile.Read(ref _sent));
        Gauge("grok1_expert_worker_queue_length", "Calls that wait.", () => QueueLength());
        Gauge("grok1_expert_worker_tiles", "Tiles held.", () => tiles.Slices.Count);
        Gauge("grok1_expert_worker_weight_bytes", "Weights held.", () => tiles.Bytes);
        _meter.CreateObservableCounter("grok1_expert_worker_expert_tokens_total", ExpertTokens, description: "Tokens computed for an expert of a layer, in whole or in part.");
        _meter.CreateObservableGauge("grok1_expert_worker_info", () => new Measurement<long>(1, new("id", id), new("model", tiles.Model.Name), new KeyValuePair<string, object?>("version", typeof(WorkerMetrics).Assembly.GetName().Version?.ToString(3))), description: "Always 1; what this worker is, in its labels.");

        Histogram<double> Seconds(string name, string help) =>
            _meter.CreateHistogram(name, "s", help, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = Buckets.Dispatch });
        void Counter(string name, string help, Func<long> value) => _meter.CreateObservableCounter(name, value, description: help);
        void Gauge(string name, string help, Func<long> value) => _meter.CreateObservableGauge(name, value, description: help);
    }

    public MetricCollector Collector { get; }

    /// <summary>Calls computed since the start.</summary>
    public long Calls => Volatile.Read(ref _calls);

    /// <summary>Asked how many calls wait.</summary>
    public Func<long> QueueLength { get; set; } = () => 0;

    /// <summary>A call was computed; its result has its times.</summary>
    public void Computed(CallFrame call, ResultFrame result)
    {
        _queueTime.Record(result.QueueUs / 1e6);
        _computeTime.Record(result.ComputeUs / 1e6);
        Volatile.Write(ref _calls, _calls + 1);
        Volatile.Write(ref _rows, _rows + call.Tokens);
        Volatile.Write(ref _received, _received + call.Payload.Length);
        Volatile.Write(ref _sent, _sent + result.Values.Length);
        CountExperts(call);
    }

    public void Refused(CallFailure.Types.Reason reason) => _refusals.Add(1, Label(reason));

    public void Dispose()
    {
        Collector.Dispose();
        _meter.Dispose();
    }

    private static KeyValuePair<string, object?> Label(CallFailure.Types.Reason reason) => new("reason", JsonNamingPolicy.SnakeCaseLower.ConvertName(reason.ToString()));

    /// <summary>Of a row's experts, those that a tile of the call is of.</summary>
    private void CountExperts(CallFrame call)
    {
        foreach (var expert in call.Experts)
            if (IsAsked(call, expert))
            {
                _chosen[0] = expert;
                _load.Add((int)call.Layer, _chosen);
            }
    }

    private static bool IsAsked(CallFrame call, int expert)
    {
        for (var bundle = 0; bundle < call.BundleCount; bundle++)
            foreach (var tile in call.BundleTiles(bundle))
                if (tile.Expert == expert)
                    return true;
        return false;
    }

    private IEnumerable<Measurement<long>> ExpertTokens() => _load.Snapshot().SelectMany((experts, layer) => experts
        .Select((tokens, expert) => (tokens, expert)).Where(count => count.tokens > 0)
        .Select(count => new Measurement<long>(count.tokens, new("layer", layer), new KeyValuePair<string, object?>("expert", count.expert))));
}
