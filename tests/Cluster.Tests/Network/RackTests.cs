using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Tests.Security;
using Grok1Cluster.TestKit;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Cluster.Tests.Network;

/// <summary>The rack of docs/operations.md: etcd, a coordinator that has the weights and four workers that have none, each on a host of its own, with certificates.</summary>
[Collection(nameof(Alone))]
public sealed class RackTests : IDisposable
{
    private const int Workers = 4;
    private const string Key = "a-key-of-this-test";

    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-rack-").FullName;
    private readonly TestAuthority _authority = new();
    private readonly List<Grok1Process> _processes = [];

    [RackFact]
    public async Task A_rack_of_machines_without_weights_answers_as_one_machine_does()
    {
        using var lab = new NetworkLab(Workers + 2, rate: null, routed: true);
        var etcd = $"{lab.Hosts[0].Address}:2379";
        await StartAsync(lab.Hosts[0], "serving client traffic insecurely", "etcd",
            "--data-dir", Path.Combine(_directory, "etcd"), "--logger", "zap", "--listen-client-urls", $"http://{etcd}", "--advertise-client-urls", $"http://{etcd}");

        var front = lab.Hosts[1];
        var keys = Path.Combine(_directory, "keys.txt");
        await File.WriteAllTextAsync(keys, Key);
        // It waits for the workers, and they for the weights that it gives.
        var coordinator = await StartAsync(front, "workers may fetch weights from", Grok1Process.ExecutablePath,
            "serve", "--model", "demo", "--etcd", etcd, "--host", $"{front.Address}", "--port", "8080", "--api-keys", keys, "--tls", Node(NodeRole.Coordinator, "front", front),
            "--weights-listen", $"{front.Address}:9049", "--replicas", "2", "--least-workers", $"{Workers}", "--threads", "1");
        await Task.WhenAll(lab.Hosts.Skip(2).Select((host, i) => StartAsync(host, "listens on", Grok1Process.ExecutablePath,
            "worker", "--id", $"worker-{i}", "--listen", $"{host.Address}:9050", "--etcd", etcd, "--from", $"{front.Address}:9049", "--tls", Node(NodeRole.Worker, $"worker-{i}", host),
            "--cache", Path.Combine(_directory, $"cache-{i}"), "--threads", "1")));
        await coordinator.WaitForErrorLineAsync(line => line.Contains("serving demo on"));

        using var client = new HttpClient { BaseAddress = new Uri($"http://{front.Address}:8080"), Timeout = Grok1Process.DefaultTimeout };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Key);
        using var answer = await client.PostAsJsonAsync("/v1/completions", new { prompt = "My fellow Americans,", max_tokens = 20, temperature = 0, ignore_eos = true });
        var body = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, body);
        var alone = await Grok1Process.RunAsync("run", "My fellow Americans,", "--max-tokens", "20", "--temperature", "0", "--ignore-eos", "--workers", "4", "--plan", "auto", "--json");
        Assert.Equal(JsonDocument.Parse(alone.Output).RootElement.GetProperty("text").GetString(), JsonDocument.Parse(body).RootElement.GetProperty("choices")[0].GetProperty("text").GetString());
    }

    public void Dispose()
    {
        foreach (var process in Enumerable.Reverse(_processes))
            process.Dispose();
        _authority.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private string Node(NodeRole role, string id, LabHost host) => _authority.Node(role, id, $"{host.Address}");

    private async Task<Grok1Process> StartAsync(LabHost host, string ready, string program, params string[] arguments)
    {
        var process = Grok1Process.Start(host.Start(program, arguments));
        lock (_processes)
            _processes.Add(process);
        await process.WaitForErrorLineAsync(line => line.Contains(ready));
        return process;
    }

    /// <summary>Needs network namespaces and etcd.</summary>
    private sealed class RackFactAttribute : FactAttribute
    {
        public RackFactAttribute() => Skip = NetworkLab.Missing.Value ?? EtcdFactAttribute.Missing;
    }
}
