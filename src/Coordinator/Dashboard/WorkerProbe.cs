using System.Collections.Concurrent;
using System.Diagnostics;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Coordinator.Dashboard;

/// <summary>Asks workers how they are, without holding up whoever waits: a slow one keeps its last answer.</summary>
internal sealed class WorkerProbe
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(200);

    private readonly ConcurrentDictionary<string, (long? Memory, double? RoundTripUs)> _answers = new();
    private readonly ConcurrentDictionary<string, Task> _asked = new();

    public (long? Memory, double? RoundTripUs) Of(string worker) => _answers.GetValueOrDefault(worker);

    public async Task AskAsync(IReadOnlyList<WorkerConnection> workers, CancellationToken cancel)
    {
        var asked = workers.Where(worker => !worker.IsLost).Select(worker => _asked.AddOrUpdate(
            worker.Id, _ => AskAsync(worker, cancel), (_, before) => before.IsCompleted ? AskAsync(worker, cancel) : before)).ToArray();
        await Task.WhenAll(asked).WaitAsync(Patience, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancel.ThrowIfCancellationRequested();
    }

    private async Task AskAsync(WorkerConnection worker, CancellationToken cancel)
    {
        var start = Stopwatch.GetTimestamp();
        try
        {
            var status = await worker.StatusAsync(cancel);
            _answers[worker.Id] = (status.ResidentBytes, Math.Round(Stopwatch.GetElapsedTime(start).TotalMicroseconds));
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException or ObjectDisposedException)
        {
            _answers[worker.Id] = (null, null);
        }
    }
}
