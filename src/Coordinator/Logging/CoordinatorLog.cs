using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Coordinator.Workers.Health;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Model;
using Microsoft.Extensions.Logging;

namespace Grok1Cluster.Coordinator.Logging;

/// <summary>Everything that a coordinator logs, each with its id. There is no prompt and no generated text among it.</summary>
public sealed partial class CoordinatorLog
{
    /// <summary>Category of what happens to the cluster; also the dashboard's list of events.</summary>
    public const string ClusterCategory = "cluster";

    /// <summary>Category of what happens to each request.</summary>
    public const string RequestCategory = "request";

    /// <summary>Lines of a fault: its message and the innermost calls.</summary>
    private const int MaxFaultLines = 6;

    private readonly ILogger _cluster;
    private readonly ILogger _requests;

    public CoordinatorLog(ILoggerFactory factory) =>
        (_cluster, _requests) = (factory.CreateLogger(ClusterCategory), factory.CreateLogger(RequestCategory));

    public void Note(string text) => Note(_cluster, text);

    public void Loading(string model, string url) => Loading(_cluster, model, url);

    public void Serving(string model, string url) => Serving(_cluster, model, url);

    public void Draining(int requests, double seconds) => Draining(_cluster, requests, seconds);

    public void NotDrained(int requests) => NotDrained(_cluster, requests);

    public void Stopping() => Stopping(_cluster);

    public void WorkerChanged(WorkerLink worker, WorkerChange change)
    {
        var (id, address) = (worker.Id, worker.Connection.Address);
        switch (change)
        {
            case WorkerChange.Joined:
                WorkerJoined(_cluster, id, address);
                break;
            case WorkerChange.Lost:
                WorkerLost(_cluster, id, address);
                break;
            case WorkerChange.Back:
                WorkerBack(_cluster, id, address);
                break;
            case WorkerChange.HoldsOther:
                WorkerHolds(_cluster, id, ByteSize.Format(worker.Connection.Description.Bytes), worker.Connection.Description.Bytes);
                break;
            case WorkerChange.Left:
                WorkerLeft(_cluster, id, address);
                break;
        }
    }

    public void PlanChanged(Plan plan) => PlanChanged(_cluster, plan.Epoch, plan.HoldingWorkers().Length);

    public void WorkerRestarted(string worker, int process) => WorkerRestarted(_cluster, worker, process);

    public void WorkerNotRestarted(string worker, string reason) => WorkerNotRestarted(_cluster, worker, reason);

    public void WorkerEnded(string worker, int process, int code) => WorkerEnded(_cluster, worker, process, code);

    public void WorkerStanding(string worker, WorkerStanding standing, string reason) => WorkerStanding(_cluster, worker, standing, reason);

    public void WorkersDiffer(string first, string second, string verdict) => WorkersDiffer(_cluster, first, second, verdict);

    public void HttpRequest(string requestId, string method, string route, int status, double seconds) => HttpRequest(_requests, requestId, method, route, status, seconds);

    /// <summary>A request met a fault that nobody foresaw: type, message and where, in one line.</summary>
    public void RequestFailed(string requestId, Exception fault) => RequestFailed(
        _cluster, requestId, string.Join("; ", fault.ToString().Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Take(MaxFaultLines).Select(Printable.OneLine)));

    public void SequenceEnded(SequenceTimes sequence, SequenceOutcome outcome, double queueSeconds, double firstTokenSeconds, double seconds) => SequenceEnded(
        _requests, outcome, sequence.PromptTokens, sequence.CachedTokens, sequence.GeneratedTokens, queueSeconds, firstTokenSeconds, seconds,
        sequence.Trace.TraceId == default ? "" : sequence.Trace.TraceId.ToString());

    [LoggerMessage(1, LogLevel.Information, "{Text}", EventName = "note")]
    private static partial void Note(ILogger logger, string text);

    [LoggerMessage(2, LogLevel.Information, "loading {Model}; {Url} answers 503 until it is ready", EventName = "loading")]
    private static partial void Loading(ILogger logger, string model, string url);

    [LoggerMessage(3, LogLevel.Information, "serving {Model} on {Url}", EventName = "serving")]
    private static partial void Serving(ILogger logger, string model, string url);

    [LoggerMessage(4, LogLevel.Information, "draining: {Requests} requests run, at most {Seconds} s", EventName = "draining")]
    private static partial void Draining(ILogger logger, int requests, double seconds);

    [LoggerMessage(5, LogLevel.Warning, "{Requests} requests were not finished in time", EventName = "not_drained")]
    private static partial void NotDrained(ILogger logger, int requests);

    [LoggerMessage(6, LogLevel.Information, "stopping", EventName = "stopping")]
    private static partial void Stopping(ILogger logger);

    [LoggerMessage(10, LogLevel.Error, "worker {Worker} at {Address} is lost", EventName = "worker_lost")]
    private static partial void WorkerLost(ILogger logger, string worker, string address);

    [LoggerMessage(11, LogLevel.Error, "worker {Worker} (process {Process}) ended with exit code {Code}", EventName = "worker_ended")]
    private static partial void WorkerEnded(ILogger logger, string worker, int process, int code);

    [LoggerMessage(12, LogLevel.Information, "worker {Worker} at {Address} is back", EventName = "worker_back")]
    private static partial void WorkerBack(ILogger logger, string worker, string address);

    [LoggerMessage(13, LogLevel.Information, "worker {Worker} was started again (process {Process})", EventName = "worker_restarted")]
    private static partial void WorkerRestarted(ILogger logger, string worker, int process);

    [LoggerMessage(14, LogLevel.Error, "worker {Worker} could not be started again: {Reason}", EventName = "worker_not_restarted")]
    private static partial void WorkerNotRestarted(ILogger logger, string worker, string reason);

    [LoggerMessage(15, LogLevel.Information, "worker {Worker} at {Address} joined", EventName = "worker_joined")]
    private static partial void WorkerJoined(ILogger logger, string worker, string address);

    [LoggerMessage(16, LogLevel.Information, "worker {Worker} holds {Size} now ({Bytes} bytes)", EventName = "worker_holds")]
    private static partial void WorkerHolds(ILogger logger, string worker, string size, long bytes);

    [LoggerMessage(17, LogLevel.Information, "worker {Worker} at {Address} left", EventName = "worker_left")]
    private static partial void WorkerLeft(ILogger logger, string worker, string address);

    [LoggerMessage(18, LogLevel.Information, "plan {Epoch} holds: {Workers} workers", EventName = "plan_changed")]
    private static partial void PlanChanged(ILogger logger, long epoch, int workers);

    [LoggerMessage(19, LogLevel.Warning, "worker {Worker} is {Standing}: {Reason}", EventName = "worker_standing")]
    private static partial void WorkerStanding(ILogger logger, string worker, WorkerStanding standing, string reason);

    [LoggerMessage(22, LogLevel.Error, "workers {First} and {Second} answered the same call with different values: {Verdict}", EventName = "workers_differ")]
    private static partial void WorkersDiffer(ILogger logger, string first, string second, string verdict);

    [LoggerMessage(20, LogLevel.Information, "{Method} {Route} {Status} in {Seconds} s, request {RequestId}", EventName = "http_request")]
    private static partial void HttpRequest(ILogger logger, string requestId, string method, string route, int status, double seconds);

    [LoggerMessage(23, LogLevel.Error, "request {RequestId} failed by a fault of this program: {Fault}", EventName = "request_failed")]
    private static partial void RequestFailed(ILogger logger, string requestId, string fault);

    [LoggerMessage(21, LogLevel.Information, "{Outcome}: {PromptTokens} prompt tokens ({CachedTokens} cached), {GeneratedTokens} generated; queued {QueueSeconds} s, first token after {FirstTokenSeconds} s, ended after {Seconds} s; trace {TraceId}", EventName = "sequence_ended")]
    private static partial void SequenceEnded(
        ILogger logger, SequenceOutcome outcome, int promptTokens, int cachedTokens, int generatedTokens, double queueSeconds, double firstTokenSeconds, double seconds, string traceId);
}
