using System.Net.Http.Json;
using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Operations;

/// <summary>Workers and coordinators as processes; the workers begin with nothing.</summary>
/// <param name="etcd">By which they find each other; null: coordinators are told where the workers are that were started before them.</param>
internal sealed class ServedFleet(string? etcd) : IDisposable
{
    private const int Tokens = 60;

    private readonly string _cluster = $"fleet-{Guid.NewGuid():N}";
    private readonly Dictionary<string, Grok1Process> _workers = [];
    private readonly List<string> _addresses = [];
    private readonly HttpClient _http = new() { Timeout = Grok1Process.DefaultTimeout };

    /// <summary>What the prompt is answered with, whoever answers it.</summary>
    public string Reference { get; private set; } = "";

    /// <summary>Of the coordinators. In <c>exact</c> another plan, which adds in another order, gives the same texts.</summary>
    public string Precision { get; init; } = "fast";

    public Grok1Process Worker(string id) => _workers[id];

    /// <summary>Starts a worker, or starts one again.</summary>
    /// <param name="listen">Where it was before; null: anywhere.</param>
    public async Task<string> StartWorkerAsync(string id, string? listen = null)
    {
        var worker = _workers[id] = Grok1Process.Start(
            ["worker", "--model", "demo", "--id", id, "--hold", "none", "--listen", listen ?? "127.0.0.1:0", "--threads", "1", .. etcd is null ? [] : (string[])["--etcd", etcd, "--cluster", _cluster]]);
        var line = await worker.WaitForErrorLineAsync(line => line.Contains("listens on"));
        var address = line[(line.LastIndexOf(' ') + 1)..];
        _addresses.Add(address);
        return address;
    }

    /// <summary>Starts a coordinator and waits until it can answer.</summary>
    public async Task<ServedCoordinator> StartCoordinatorAsync(string id, int leastWorkers)
    {
        string[] members = etcd is null
            ? ["--worker-address", string.Join(',', _addresses)]
            : ["--etcd", etcd, "--cluster", _cluster, "--coordinator-id", id, "--advertise", $"{id}:8080", "--least-workers", leastWorkers.ToString()];
        var process = Grok1Process.Start(["serve", "--model", "demo", "--port", "0", "--threads", "1", "--plan", "whole", "--replicas", "2", "--precision", Precision, .. members]);
        var line = await process.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        var coordinator = new ServedCoordinator(process, line[(line.LastIndexOf(' ') + 1)..]);
        await UntilReadyAsync(coordinator);
        if (Reference.Length == 0)
            Reference = await GenerateAsync(coordinator);
        return coordinator;
    }

    /// <summary>Completes when a coordinator says that every tile has a holder.</summary>
    public async Task UntilReadyAsync(ServedCoordinator coordinator)
    {
        // The coordinator's own events are its log; readiness is asked for until it is there.
        using var limit = new CancellationTokenSource(Grok1Process.DefaultTimeout);
        using var tick = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (true)
        {
            using var response = await _http.GetAsync($"{coordinator.Url}/health/ready", limit.Token);
            if (response.IsSuccessStatusCode)
                return;
            await tick.WaitForNextTickAsync(limit.Token);
        }
    }

    /// <summary>Greedy, always the same prompt; anything but an answer is an error.</summary>
    public async Task<string> GenerateAsync(ServedCoordinator coordinator)
    {
        using var response = await _http.PostAsJsonAsync($"{coordinator.Url}/v1/completions", new { prompt = "My fellow Americans,", max_tokens = Tokens, temperature = 0, ignore_eos = true });
        var body = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, body);
        using var document = JsonDocument.Parse(body);
        return document.RootElement.GetProperty("choices")[0].GetProperty("text").GetString()!;
    }

    /// <summary>Makes changes while requests follow each other at a coordinator, and one more afterwards: none may fail, each must be as always.</summary>
    /// <returns>Requests that were answered.</returns>
    public async Task<int> UnderLoadAsync(ServedCoordinator coordinator, Func<Task> change)
    {
        var (changed, answered) = (false, 0);
        var requests = Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            for (var last = false; !last;)
            {
                last = Volatile.Read(ref changed);
                Assert.Equal(Reference, await GenerateAsync(coordinator));
                Interlocked.Increment(ref answered);
            }
        })).ToArray();
        try
        {
            await change();
        }
        finally
        {
            Volatile.Write(ref changed, true);
            await Task.WhenAll(requests);
        }
        return answered;
    }

    public void Dispose()
    {
        foreach (var worker in _workers.Values)
            worker.Dispose();
        _http.Dispose();
    }
}

/// <summary>A coordinator process and where it serves.</summary>
internal sealed record ServedCoordinator(Grok1Process Process, string Url) : IDisposable
{
    public void Dispose() => Process.Dispose();
}
