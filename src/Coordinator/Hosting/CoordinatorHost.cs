using Grok1Cluster.Cluster.Load;
using Grok1Cluster.Coordinator.Dashboard;
using Grok1Cluster.Coordinator.Http;
using Grok1Cluster.Coordinator.Logging;
using Grok1Cluster.Coordinator.Metrics;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Tracing;
using Grok1Cluster.Engine;
using Microsoft.Extensions.Logging;

namespace Grok1Cluster.Coordinator.Hosting;

/// <summary>
/// A serving coordinator from its first open port to its last finished request. The port opens first, so that whoever asks
/// while weights load is told how far it is; then the cluster starts; at the end requests that run are finished.
/// </summary>
public sealed class CoordinatorHost : IAsyncDisposable
{
    private readonly CoordinatorHostOptions _options;
    private readonly TimeProvider _time;
    private readonly Readiness _readiness = new();
    private readonly LoggerFactory _loggers;
    private readonly CoordinatorMetrics _metrics;
    private readonly StatusSampler _status;
    private readonly IDisposable? _traces;
    private readonly CancellationTokenSource _closing = new();
    private CoordinatorServer _server = null!;
    private ClusterSession? _session;

    private CoordinatorHost(CoordinatorHostOptions options, TextWriter log, TimeProvider time)
    {
        (_options, _time) = (options, time);
        var events = new EventLog();
        _loggers = new LoggerFactory([new LineLoggerProvider(options.LogFormat, log, events, time)]);
        Log = new CoordinatorLog(_loggers);
        _metrics = new CoordinatorMetrics(_readiness, Log, time);
        _status = new StatusSampler(_readiness, _metrics, events, time);
        _traces = options.Traces is null ? null : OtlpExport.Start(options.Traces);
    }

    public CoordinatorLog Log { get; }

    /// <summary>Where it listens.</summary>
    public string Url => _server.Url;

    /// <summary>Where metrics, cluster and dashboard are; null where they have no port of their own.</summary>
    public string? AdminUrl => _server.AdminUrl;

    /// <summary>The engine, once <see cref="LoadAsync"/> returned.</summary>
    public InferenceEngine Engine { get; private set; } = null!;

    /// <summary>The cluster, once <see cref="LoadAsync"/> returned.</summary>
    public ClusterSession Session => _session ?? throw new InvalidOperationException("nothing is loaded yet");

    /// <summary>Opens the port.</summary>
    /// <param name="options">What to serve.</param>
    /// <param name="log">Gets the log's lines.</param>
    /// <param name="time">Measures the drain time, and when the cluster is looked at.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="IOException">The port is in use.</exception>
    public static async Task<CoordinatorHost> StartAsync(CoordinatorHostOptions options, TextWriter log, TimeProvider time, CancellationToken cancel)
    {
        var host = new CoordinatorHost(options, log, time);
        try
        {
            host._server = await CoordinatorServer.StartAsync(new ServerContext(host._readiness, host._metrics, host.Log, host._status), options.Api, cancel);
            return host;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the cluster and takes requests.</summary>
    /// <inheritdoc cref="ClusterSession.StartAsync" path="/exception"/>
    public async Task LoadAsync(CancellationToken cancel)
    {
        Log.Loading(Path.GetFileName(Path.TrimEndingDirectorySeparator(_options.Session.StorePath)), Url);
        var session = _session = await ClusterSession.StartAsync(_options.Session with { Progress = _readiness.Progress }, Log.Note, cancel);
        var load = new ExpertLoad(session.Store.Config.LayerCount, session.Store.Config.ExpertCount, _time);
        session.Forward.Routed += (layer, chosen) => load.Add(layer, chosen.Span);
        _metrics.Watch(session);
        var engine = Engine = session.StartEngine(_options.Engine with { Observer = _metrics });
        _metrics.Watch(engine, load);
        var services = new CoordinatorServices(session, engine, load);
        _status.Watch(services);
        _server.Serve(services);
        WatchWorkers(session);
        _readiness.SetReady();
        Log.Note($"chats become prompts by the template {_options.Api.Template.Name}: this is a base model, it was never taught to chat");
        Log.Serving(session.Store.Name, Url);
    }

    /// <summary>Takes no more requests, and waits for those that run, at most for the drain time.</summary>
    public async Task DrainAsync()
    {
        await _closing.CancelAsync();
        Log.Draining(_readiness.Requests, _options.DrainTime.TotalSeconds);
        if (await _readiness.DrainAsync(_options.DrainTime, _time) is > 0 and var left)
            Log.NotDrained(left);
        Log.Stopping();
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _status.DisposeAsync();
        if (_server is not null)
            await _server.DisposeAsync();
        if (_session is not null)
            await _session.DisposeAsync();
        _traces?.Dispose();
        _metrics.Dispose();
        _loggers.Dispose();
        _closing.Dispose();
    }

    /// <summary>Says what happens to workers; those that were started here are started again.</summary>
    private void WatchWorkers(ClusterSession session)
    {
        if (session.WorkerPool is not { } pool)
            return;
        _readiness.Lacks = () => pool.Coverage is { IsComplete: false } coverage ? coverage.Describe() : null;
        pool.Changed += (link, change) => Log.WorkerChanged(link, change);
        pool.PlanChanged += Log.PlanChanged;
        pool.StandingChanged += (link, reason) => Log.WorkerStanding(link.Id, link.Health.Standing, reason);
        pool.Differed += (first, second, verdict) => Log.WorkersDiffer(first.Id, second.Id, verdict);
        if (session.LocalWorkers is not { } local)
            return;
        local.Ended += (process, code) => Log.WorkerEnded(process.Id, process.Pid, code);
        local.Restarted += process => Log.WorkerRestarted(process.Id, process.Pid);
        local.RestartFailed += (id, fault) => Log.WorkerNotRestarted(id, fault.Message);
    }
}
