using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.TestKit;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Reliability.Bench.Clusters;

/// <summary>What a cluster is made of.</summary>
public sealed record TestedClusterOptions
{
    /// <summary>Directory of a model store.</summary>
    public required string Model { get; init; }

    public int Workers { get; init; } = 3;

    /// <summary>Workers that hold each bundle.</summary>
    public int Replicas { get; init; } = 2;

    /// <summary>Whether the coordinator starts the workers, and starts one again that ends.</summary>
    public bool Supervised { get; init; } = true;

    /// <summary>Hosts to put workers on; null: all are on this machine.</summary>
    public NetworkLab? Lab { get; init; }

    /// <summary>How long a bundle may be without a worker.</summary>
    public TimeSpan LostWorkerTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>What workers do wrong, as <c>--fault</c> takes it; null: nothing.</summary>
    public string? Fault { get; init; }
}

/// <summary>A serving coordinator and its workers, all processes of their own, to which things are done.</summary>
public sealed partial class TestedCluster : IDisposable
{
    private const int SigKill = 9, SigCont = 18, SigStop = 19;

    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-reliability-").FullName;
    private readonly List<Grok1Process> _workers = [];
    private ServingProcess _coordinator = null!;

    private TestedCluster()
    {
    }

    /// <summary>Where the coordinator serves.</summary>
    public Uri Url => _coordinator.Url;

    /// <summary>What the coordinator wrote to standard error.</summary>
    public string Log => _coordinator.Log;

    public static async Task<TestedCluster> StartAsync(TestedClusterOptions options)
    {
        var cluster = new TestedCluster();
        try
        {
            await cluster.BeginAsync(options);
            return cluster;
        }
        catch
        {
            cluster.Dispose();
            throw;
        }
    }

    /// <summary>kill -9 a worker.</summary>
    public async Task KillAsync(int worker) => Signal(await ProcessOfAsync(worker), SigKill);

    /// <summary>SIGSTOP a worker for a while.</summary>
    public async Task StopAsync(int worker, TimeSpan time)
    {
        var process = await ProcessOfAsync(worker);
        Signal(process, SigStop);
        await Task.Delay(time);
        Signal(process, SigCont);
    }

    /// <summary>SIGSTOP the coordinator for a while.</summary>
    public async Task StopCoordinatorAsync(TimeSpan time)
    {
        Signal(_coordinator.Id, SigStop);
        await Task.Delay(time);
        Signal(_coordinator.Id, SigCont);
    }

    /// <summary>Waits until every worker is ready.</summary>
    /// <exception cref="TimeoutException">One is not.</exception>
    public Task WaitUntilWholeAsync(TimeSpan limit) => _coordinator.UntilWholeAsync(limit);

    /// <summary>Whether every worker is ready and none is asked after others.</summary>
    public async Task<bool> IsHealthyAsync()
    {
        var workers = await _coordinator.WorkersAsync();
        return workers.All(worker => worker.GetProperty("state").GetString() == "ready")
            && await _coordinator.MetricAsync("grok1_worker_standing", "standing=\"healthy\"") == workers.Length;
    }

    /// <summary>Calls of a worker that were answered and used, by the coordinator's count.</summary>
    public async Task<double> AnswersAsync(int worker) =>
        await _coordinator.MetricAsync("grok1_dispatch_outcomes_total", $"worker=\"{(await _coordinator.WorkersAsync())[worker].GetProperty("id").GetString()}\",outcome=\"ok\"");

    /// <inheritdoc cref="ServingProcess.UntilAsync"/>
    public Task UntilAsync(string what, TimeSpan limit, Func<Task<bool>> condition) => _coordinator.UntilAsync(what, limit, condition);

    /// <summary>Resident bytes of the coordinator, and the files and sockets it has open.</summary>
    public async Task<(long Bytes, int Handles)> UseAsync() =>
        ((long)await _coordinator.MetricAsync("process_resident_memory_bytes"), Directory.GetFileSystemEntries($"/proc/{_coordinator.Id}/fd").Length);

    public void Dispose()
    {
        _coordinator?.Dispose();
        foreach (var worker in _workers)
            worker.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private async Task BeginAsync(TestedClusterOptions options)
    {
        var plan = Path.Combine(_directory, "plan.json");
        PlanFile.Save(plan, BenchPlans.Whole(options.Model, options.Workers, options.Replicas));
        string[] flags = ["serve", "--model", options.Model, "--plan", plan, "--port", "0", "--lost-worker-timeout", options.LostWorkerTimeout.TotalSeconds.ToString(CultureInfo.InvariantCulture)];
        if (!options.Supervised)
            await StartWorkersAsync(options);
        var start = new ProcessStartInfo(Grok1Process.ExecutablePath, options.Supervised
            ? [.. flags, "--workers", $"{options.Workers}"]
            : [.. flags, "--worker-address", string.Join(',', _workers.Select(AddressOf))]);
        if (options.Fault is { } fault)
            start.Environment["GROK1__WORKER__FAULT"] = fault;
        _coordinator = await ServingProcess.StartAsync(start);
    }

    private async Task StartWorkersAsync(TestedClusterOptions options)
    {
        foreach (var (number, id) in WorkerIds.Numbered(options.Workers).Index())
        {
            string[] flags = ["worker", "--model", options.Model, "--id", id, "--insecure", "--threads", "1", "--listen"];
            _workers.Add(Grok1Process.Start(options.Lab is { } lab
                ? lab.Hosts[number].Start(Grok1Process.ExecutablePath, [.. flags, $"{lab.Hosts[number].Address}:0"])
                : new ProcessStartInfo(Grok1Process.ExecutablePath, [.. flags, "127.0.0.1:0"])));
        }
        foreach (var worker in _workers)
            await worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
    }

    private async Task<int> ProcessOfAsync(int worker) => (await _coordinator.WorkersAsync())[worker].GetProperty("pid").GetInt32();

    private static string AddressOf(Grok1Process worker)
    {
        var line = worker.Error.Split('\n').First(line => line.Contains("listens on "));
        return line[(line.LastIndexOf(' ') + 1)..];
    }

    private static void Signal(int process, int signal)
    {
        // One that has ended by itself cannot be signalled, and need not be.
        _ = Kill(process, signal);
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
