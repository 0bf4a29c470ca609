using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Membership;

/// <summary>Coordinator and worker processes that find each other in etcd.</summary>
public sealed class EtcdServingTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    private const int Kill9 = 9;

    [EtcdFact]
    public async Task Two_coordinators_over_the_same_workers_serve_on_whatever_happens_to_etcd_and_to_one_of_them()
    {
        await using var server = await EtcdServer.StartAsync();
        using var worker = Start(server, "worker", "--id", "worker-0", "--listen", "127.0.0.1:0");
        using var first = Start(server, "serve", "--coordinator-id", "c-0", "--advertise", "one:8080", "--port", "0");
        using var second = Start(server, "serve", "--coordinator-id", "c-1", "--advertise", "two:8080", "--port", "0");
        using var one = await ConnectAsync(first);
        using var two = await ConnectAsync(second);
        var expected = await AskAsync(one);
        Assert.Equal(expected, await AskAsync(two));

        await server.KillAsync();
        await first.WaitForErrorLineAsync(line => line.Contains("etcd at ") && line.Contains(" is away "));
        await second.WaitForErrorLineAsync(line => line.Contains("etcd at ") && line.Contains(" is away "));
        Assert.Equal(expected, await AskAsync(one));
        Signals.Send(first.Id, Kill9);
        Assert.Equal(expected, await AskAsync(two));

        // It comes back without its data, and the cluster can be changed again: a worker comes and is given a part.
        server.Wipe();
        await server.RestartAsync();
        await second.WaitForErrorLineAsync(line => line.Contains("etcd at ") && line.EndsWith(" is back", StringComparison.Ordinal));
        using var next = Start(server, "worker", "--id", "worker-1", "--listen", "127.0.0.1:0");
        await second.WaitForErrorLineAsync(line => line.Contains("holds: 2 workers"));
        Assert.Equal(expected, await AskAsync(two));
    }

    private Grok1Process Start(EtcdServer server, string verb, params string[] arguments) => Grok1Process.Start(
        new ProcessStartInfo(Grok1Process.ExecutablePath, [verb, "--model", models.Golden("tiny-b"), "--threads", "1", "--etcd", server.Address, .. arguments]));

    private static async Task<HttpClient> ConnectAsync(Grok1Process serve)
    {
        var line = await serve.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        return new HttpClient { BaseAddress = new Uri(line[(line.LastIndexOf(' ') + 1)..]), Timeout = Grok1Process.DefaultTimeout };
    }

    private static async Task<string> AskAsync(HttpClient client)
    {
        using var response = await client.PostAsJsonAsync("/v1/completions", new { prompt = new[] { 7, 8, 9 }, max_tokens = 6, temperature = 0 });
        response.EnsureSuccessStatusCode();
        var answer = await response.Content.ReadFromJsonAsync<JsonElement>();
        return answer.GetProperty("choices")[0].GetProperty("text").GetString()!;
    }
}
