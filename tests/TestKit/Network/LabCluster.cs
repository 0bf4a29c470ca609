using System.Net;

namespace Grok1Cluster.TestKit.Network;

/// <summary>
/// Workers on hosts of a <see cref="NetworkLab"/>, each behind a relay that its coordinator's host reaches. Host 0 is the
/// coordinator's.
/// </summary>
public sealed class LabCluster : IDisposable
{
    private readonly NetworkLab _lab;
    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-lab-").FullName;
    private readonly List<IDisposable> _owned = [];

    private LabCluster(NetworkLab lab) => _lab = lab;

    /// <summary>The flags that make a coordinator on host 0 use these workers.</summary>
    public string[] CoordinatorFlags { get; private set; } = [];

    /// <summary>Starts a worker on every host but the first, and waits until all listen.</summary>
    /// <param name="lab">The hosts; not disposed.</param>
    /// <param name="model">A model store.</param>
    /// <param name="plan">whole or sliced.</param>
    /// <param name="oneWay">Delay of every message, each way.</param>
    public static async Task<LabCluster> StartAsync(NetworkLab lab, string model, string plan, TimeSpan oneWay)
    {
        var cluster = new LabCluster(lab);
        try
        {
            await cluster.StartAsync(model, plan, oneWay);
            return cluster;
        }
        catch
        {
            cluster.Dispose();
            throw;
        }
    }

    /// <summary>Runs grok1 on host 0.</summary>
    public Task<Grok1Result> RunAsync(TimeSpan? timeout, params IEnumerable<string> arguments) =>
        Grok1Process.RunAsync(_lab.Hosts[0].Start(Grok1Process.ExecutablePath, arguments), timeout: timeout);

    public void Dispose()
    {
        foreach (var item in _owned)
            item.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private async Task StartAsync(string model, string plan, TimeSpan oneWay)
    {
        var hosts = _lab.Hosts.Skip(1).ToList();
        var made = await Grok1Process.RunAsync("plan", "--model", model, "--workers", $"{hosts.Count}", "--plan", plan);
        if (made.ExitCode != 0)
            throw new InvalidOperationException($"grok1 plan: {made.Error}");
        var file = Path.Combine(_directory, "plan.json");
        await File.WriteAllTextAsync(file, made.Output);
        var addresses = await Task.WhenAll(hosts.Select((host, i) => StartWorkerAsync(host, $"worker-{i}", model, file, oneWay)));
        CoordinatorFlags = ["--model", model, "--plan", file, "--worker-address", string.Join(',', addresses)];
    }

    private async Task<string> StartWorkerAsync(LabHost host, string id, string model, string plan, TimeSpan oneWay)
    {
        var threads = Math.Max(1, Environment.ProcessorCount / (_lab.Hosts.Count - 1));
        var worker = Grok1Process.Start(host.Start(Grok1Process.ExecutablePath,
            "worker", "--model", model, "--plan", plan, "--id", id, "--listen", $"{host.Address}:0", "--insecure", "--threads", $"{threads}"));
        lock (_owned)
            _owned.Add(worker);
        var line = await worker.WaitForErrorLineAsync(line => line.Contains("listens on"));
        var target = IPEndPoint.Parse(line[(line.LastIndexOf(' ') + 1)..]);
        var relay = new DelayRelay(new IPEndPoint(_lab.Hosts[0].Gateway, 0), target, oneWay);
        lock (_owned)
            _owned.Add(relay);
        return relay.Address.ToString();
    }
}
