using System.Diagnostics;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Reliability.Bench.Clusters;

/// <summary>Worker processes that no coordinator owns, by their ids.</summary>
internal sealed class WorkerFleet : IDisposable
{
    private const int SigKill = 9, SigTerm = 15;

    private readonly Dictionary<string, (Grok1Process Process, string[] Flags, string Address, Uri Metrics)> _workers = [];
    private readonly HttpClient _http = new();

    /// <summary>Where each listens.</summary>
    public IEnumerable<string> Addresses => _workers.Values.Select(worker => worker.Address);

    /// <summary>The process of each.</summary>
    public IReadOnlyDictionary<string, int> ProcessIds => _workers.ToDictionary(worker => worker.Key, worker => worker.Value.Process.Id);

    public string Address(string id) => _workers[id].Address;

    public Grok1Process Process(string id) => _workers[id].Process;

    /// <summary>Starts a worker with one compute thread and waits until it serves.</summary>
    /// <param name="flags">Beside its id and where it listens.</param>
    public async Task StartAsync(string id, params string[] flags) => await RunAsync(id, "127.0.0.1:0", flags);

    /// <summary>Starts one again that has ended, as it was and where it was.</summary>
    public Task StartAgainAsync(string id)
    {
        var (process, flags, address, _) = _workers[id];
        process.Dispose();
        return RunAsync(id, address, flags);
    }

    /// <summary>SIGTERM; completes when it has ended.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> EndAsync(string id)
    {
        Signals.Send(_workers[id].Process.Id, SigTerm);
        return (await _workers[id].Process.WaitForExitAsync()).ExitCode;
    }

    /// <summary>kill -9.</summary>
    public void Kill(string id) => Signals.Send(_workers[id].Process.Id, SigKill);

    /// <summary>A worker's own metric.</summary>
    public Task<double> MetricAsync(string id, string name) => Metrics.SumAsync(_http, _workers[id].Metrics, name);

    public void Dispose()
    {
        foreach (var (process, _, _, _) in _workers.Values)
            process.Dispose();
        _http.Dispose();
    }

    private async Task RunAsync(string id, string listen, string[] flags)
    {
        var process = Grok1Process.Start(new ProcessStartInfo(
            Grok1Process.ExecutablePath, ["worker", "--id", id, "--threads", "1", "--http-port", "0", "--listen", listen, .. flags]));
        _workers[id] = (process, flags, listen, null!);
        const string metrics = ": metrics on ";
        var line = await process.WaitForErrorLineAsync(line => line.Contains("listens on "), TimeSpan.FromMinutes(5));
        var http = process.Error.Split('\n').First(line => line.Contains(metrics));
        _workers[id] = (process, flags, line[(line.LastIndexOf(' ') + 1)..], new Uri(http[(http.IndexOf(metrics, StringComparison.Ordinal) + metrics.Length)..]));
    }
}
