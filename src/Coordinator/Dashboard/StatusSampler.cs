using Grok1Cluster.Cluster.Load;
using Grok1Cluster.Coordinator.Operations;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Coordinator.Http;
using Grok1Cluster.Coordinator.Logging;
using Grok1Cluster.Coordinator.Metrics;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine;

namespace Grok1Cluster.Coordinator.Dashboard;

/// <summary>Looks at the cluster once a second and keeps what it saw. <see cref="Current"/> and <see cref="NextAsync"/> are for any thread.</summary>
public sealed class StatusSampler : IAsyncDisposable
{
    private const int HistoryLength = 120;
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Readiness _readiness;
    private readonly CoordinatorMetrics _metrics;
    private readonly EventLog _events;
    private readonly TimeProvider _time;
    private readonly long _started;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _lock = new();
    private readonly Queue<ClusterStatus> _history = new();
    private readonly WorkerProbe _probe = new();
    private readonly Task _running;
    private CoordinatorServices? _services;
    private TaskCompletionSource<ClusterStatus> _next = NewSource();
    private Counts _before;

    public StatusSampler(Readiness readiness, CoordinatorMetrics metrics, EventLog events, TimeProvider time)
    {
        (_readiness, _metrics, _events, _time, _started) = (readiness, metrics, events, time, time.GetTimestamp());
        _before = Count();
        Current = Look();
        _running = RunAsync();
    }

    /// <summary>The latest look.</summary>
    public ClusterStatus Current { get; private set; }

    /// <summary>What the experts were given; null until there are any.</summary>
    public ExpertLoad? Experts => Services?.Load;

    /// <summary>The model and its engine are there now.</summary>
    public void Watch(CoordinatorServices services)
    {
        lock (_lock)
            _services = services;
    }

    /// <summary>The next look.</summary>
    public Task<ClusterStatus> NextAsync()
    {
        lock (_lock)
            return _next.Task;
    }

    /// <summary>The last two minutes.</summary>
    public StatusHistory History()
    {
        lock (_lock)
        {
            var traffic = _history.Select(status => status.Traffic).OfType<TrafficStatus>().ToList();
            return new StatusHistory(
                [.. traffic.Select(now => now.GenerationTokensPerSecond)], [.. traffic.Select(now => now.PromptTokensPerSecond)],
                [.. traffic.Select(now => now.Running)], [.. traffic.Select(now => now.TpotP50)]);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _running;
        _stopping.Dispose();
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(Interval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stopping.Token))
            {
                await _probe.AskAsync(Services?.Session.Workers ?? [], _stopping.Token);
                Publish(Look());
            }
        }
        catch (OperationCanceledException)
        {
            // Disposed.
        }
        lock (_lock)
            _next.TrySetCanceled();
    }

    private CoordinatorServices? Services
    {
        get
        {
            lock (_lock)
                return _services;
        }
    }

    private void Publish(ClusterStatus status)
    {
        TaskCompletionSource<ClusterStatus> waiting;
        lock (_lock)
        {
            Current = status;
            if (_history.Count == HistoryLength)
                _history.Dequeue();
            _history.Enqueue(status);
            (waiting, _next) = (_next, NewSource());
        }
        waiting.TrySetResult(status);
    }

    private ClusterStatus Look()
    {
        var (now, before) = (Count(), _before);
        _before = now;
        var seconds = Math.Max(_time.GetElapsedTime(before.At, now.At).TotalSeconds, 1e-3);
        var services = Services;
        return new ClusterStatus
        {
            Time = _time.GetUtcNow(),
            Phase = _readiness.Phase.ToString().ToLowerInvariant(),
            LoadedRatio = _readiness.Progress.Share,
            UptimeSeconds = Math.Round(_time.GetElapsedTime(_started).TotalSeconds, 1),
            Version = Product.Version,
            Coordinator = new CoordinatorStatus(Environment.ProcessId, Environment.WorkingSet, (now.Cpu - before.Cpu).TotalSeconds / seconds),
            Model = services is null ? null : Describe(services.Session),
            Coverage = services is null ? null : Cover(services.Session),
            Traffic = services is null ? null : Traffic(services.Engine.Statistics, now, before, seconds),
            Operation = services?.Session.Cluster?.Operations.Progress is { Phase: not OperationPhase.Done } change
                ? new OperationStatus(change.Operation, change.Phase.ToString().ToLowerInvariant(), change.DoneBytes, change.TotalBytes) : null,
            Workers = services is null ? [] : [.. services.Session.Workers.Select(worker => Worker(worker, now, before, seconds))],
            Events = [.. _events.Latest.Take(30).Select(entry => new EventStatus(entry.Time, entry.Level, entry.Text))],
        };
    }

    private static ModelStatus Describe(ClusterSession session)
    {
        var config = session.Store.Config;
        return new ModelStatus(
            session.Store.Name, session.Store.ExpertLayout.Format.ToString().ToLowerInvariant(), session.Options.Precision.ToString().ToLowerInvariant(), config.LayerCount, config.ExpertCount,
            config.ExpertsPerToken, config.EmbeddingDim, config.VocabularySize, config.MaxSequenceLength, session.Tokenizer is not null);
    }

    private static CoverageStatus Cover(ClusterSession session)
    {
        var config = session.Store.Config;
        var coverage = WorkerCoverage.Of(session);
        return new CoverageStatus(session.Plan?.Epoch, config.LayerCount * config.ExpertCount * (session.Plan?.SliceCount ?? 1), coverage.Missing.Length, coverage.Describe());
    }

    private TrafficStatus Traffic(EngineStatistics engine, Counts now, Counts before, double seconds)
    {
        var (first, between) = (_metrics.Requests.RecentTimeToFirstToken, _metrics.Requests.RecentTimePerOutputToken);
        return new TrafficStatus(
            engine.Running, engine.Waiting, (now.Generated - before.Generated) / seconds, (now.Prompt - before.Prompt) / seconds, (now.Steps - before.Steps) / seconds,
            engine.GeneratedTokens, engine.PromptTokens, engine.CachedTokens, engine.Preemptions, engine.KvBlocksUsed, engine.KvBlocks,
            first.Quantile(0.5), first.Quantile(0.95), between.Quantile(0.5), between.Quantile(0.95));
    }

    private WorkerStatus Worker(WorkerConnection worker, Counts now, Counts before, double seconds)
    {
        var (total, old) = (now.Workers.GetValueOrDefault(worker.Id), before.Workers.GetValueOrDefault(worker.Id));
        var calls = total.Calls - old.Calls;
        var (memory, roundTrip) = _probe.Of(worker.Id);
        var description = worker.Description;
        return new WorkerStatus(
            worker.Id, description.ProcessId, worker.Address, worker.State, description.Tiles.Count, description.Bytes, memory, roundTrip, calls / seconds,
            (total.Rows - old.Rows) / seconds, (total.Sent - old.Sent) / seconds, (total.Received - old.Received) / seconds, Math.Min(1, (total.Compute - old.Compute) / seconds),
            calls == 0 ? null : 1e3 * (total.Round - old.Round) / calls, Math.Min(1, (total.Straggle - old.Straggle) / seconds), description.Version, description.KernelId);
    }

    private Counts Count()
    {
        var engine = Services?.Engine.Statistics;
        return new Counts(
            _time.GetTimestamp(), Environment.CpuUsage.TotalTime, engine?.Steps ?? 0, engine?.GeneratedTokens ?? 0, engine?.PromptTokens ?? 0,
            (_metrics.Steps?.Workers ?? []).ToDictionary(worker => worker.Id, worker => new WorkerCounts(
                worker.Calls, worker.Rows, worker.SentBytes, worker.ReceivedBytes, worker.ComputeSeconds, worker.RoundSeconds, worker.StragglerSeconds)));
    }

    private static TaskCompletionSource<ClusterStatus> NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private sealed record Counts(long At, TimeSpan Cpu, long Steps, long Generated, long Prompt, IReadOnlyDictionary<string, WorkerCounts> Workers);

    private readonly record struct WorkerCounts(long Calls, long Rows, long Sent, long Received, double Compute, double Round, double Straggle);
}
