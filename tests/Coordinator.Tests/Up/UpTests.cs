using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Up;

public sealed class UpTests
{
    [ProgramFact("curl", "curl")]
    public async Task The_banner_says_what_runs_and_its_curl_line_works_as_it_is()
    {
        using var cluster = await Cluster.StartAsync("up", "--model", "demo", "--workers", "2");
        var curl = await cluster.Process.WaitForOutputLineAsync(line => line.StartsWith("curl "));
        var banner = cluster.Process.Output;
        foreach (var said in (string[])["model", "demo, 4 layers x 8 experts, int8 weights, fast precision", "every tile is held: 64 on 2 of 2 workers", "KV budget", "512 tokens", "/v1", "/metrics", "open: no key is asked for"])
            Assert.Contains(said, banner);
        var answer = await Grok1Process.RunAsync(new ProcessStartInfo("/bin/sh", ["-c", curl]));
        Assert.Equal(40, JsonDocument.Parse(answer.Output).RootElement.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
    }

    [Fact]
    public async Task A_port_that_is_taken_ends_with_5_and_what_to_do()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var result = await Grok1Process.RunAsync("serve", "--model", "demo", "--port", $"{((IPEndPoint)taken.LocalEndpoint).Port}");
        Assert.Equal(5, result.ExitCode);
        Assert.Contains($"cannot listen on {taken.LocalEndpoint}: it is in use; end what listens there, or take another (--host, --port)", result.Error);
    }

    [Fact]
    public async Task Top_shows_the_workers_of_a_running_cluster_and_ends_with_5_where_there_is_none()
    {
        using var cluster = await Cluster.StartAsync("up", "--model", "demo", "--workers", "2");
        await cluster.WaitForStatusAsync(status => status.GetProperty("phase").GetString() == "ready" && status.GetProperty("workers").GetArrayLength() == 2);
        var url = cluster.Client.BaseAddress!.ToString();
        var text = await Grok1Process.RunAsync("top", "--url", url);
        Assert.Equal(0, text.ExitCode);
        foreach (var shown in (string[])["ready", "demo (int8, fast, 4 layers x 8 experts)", "worker-0", "worker-1", "64 tiles, all held"])
            Assert.Contains(shown, text.Output);
        var json = JsonDocument.Parse((await Grok1Process.RunAsync("top", "--url", url, "--json")).Output).RootElement;
        Assert.Equal(2, json.GetProperty("workers").GetArrayLength());
        var nobody = await Grok1Process.RunAsync("top", "--url", "http://127.0.0.1:9");
        Assert.Equal(5, nobody.ExitCode);
    }

    [Fact]
    public async Task A_worker_process_that_ends_is_started_again_and_status_and_metrics_show_the_new_one()
    {
        using var cluster = await Cluster.StartAsync("up", "--model", "demo", "--workers", "2");
        var status = await cluster.WaitForStatusAsync(status => status.GetProperty("workers").GetArrayLength() == 2);
        var killed = status.GetProperty("workers")[1].GetProperty("pid").GetInt32();
        using (var worker = Process.GetProcessById(killed))
            worker.Kill();
        await cluster.Process.WaitForErrorLineAsync(line => line.StartsWith("worker worker-1 (process ") && line.EndsWith("ended with exit code 137"));
        await cluster.Process.WaitForErrorLineAsync(line => line.StartsWith("worker worker-1 was started again"));
        await cluster.Process.WaitForErrorLineAsync(line => line.StartsWith("worker worker-1 at ") && line.EndsWith(" is back"));
        status = await cluster.WaitForStatusAsync(status => status.GetProperty("workers")[1].GetProperty("pid").GetInt32() != killed);
        Assert.Equal(["ready", "ready"], status.GetProperty("workers").EnumerateArray().Select(worker => worker.GetProperty("state").GetString()));
        var metrics = new Metrics.Exposition(await cluster.Client.GetStringAsync("/metrics"));
        Assert.Equal(1, metrics.Sum("grok1_worker_up", "worker=\"worker-1\""));
        Assert.Equal(0, metrics.Sum("grok1_tiles_missing"));
    }

    [Fact]
    public async Task A_signal_lets_a_running_stream_finish_while_others_are_sent_away_and_exits_with_0()
    {
        using var models = new LongModel();
        // The answer is larger than what the sockets between hold: the request is under way as long as nobody reads it.
        using var cluster = await Cluster.StartAsync("serve", "--model", models.Path, "--workers", "1", "--drain-time", "300");
        using var stream = await StreamAsync(cluster, tokens: 40_000);
        Assert.StartsWith("data: ", await stream.ReadLineAsync());
        cluster.Process.Signal(PosixSignal.SIGTERM);
        await cluster.Process.WaitForErrorLineAsync(line => line.StartsWith("draining: 1 requests run"));

        await cluster.WaitForStatusAsync(status => status.GetProperty("phase").GetString() == "draining");
        using (var ready = await cluster.Client.GetAsync("/health/ready"))
            Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        using (var live = await cluster.Client.GetAsync("/health/live"))
            Assert.Equal(HttpStatusCode.OK, live.StatusCode);
        using (var refused = await cluster.Client.PostAsJsonAsync("/v1/completions", new { prompt = new[] { 1 } }))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            Assert.NotNull(refused.Headers.RetryAfter);
            Assert.Equal("shutting_down", (await refused.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error").GetProperty("code").GetString());
        }

        var events = 1;
        var last = "";
        while (await stream.ReadLineAsync() is { } line)
            if (line.StartsWith("data: "))
                (events, last) = (events + 1, line);
        Assert.Equal("data: [DONE]", last);
        Assert.True(events > 40_000, $"{events} events");
        Assert.Equal(0, (await cluster.Process.WaitForExitAsync()).ExitCode);
    }

    [Fact]
    public async Task Past_the_drain_time_the_process_ends_all_the_same_with_0()
    {
        using var models = new LongModel();
        using var cluster = await Cluster.StartAsync("serve", "--model", models.Path, "--drain-time", "0.1");
        using var stream = await StreamAsync(cluster, tokens: 190_000);
        Assert.StartsWith("data: ", await stream.ReadLineAsync());
        cluster.Process.Signal(PosixSignal.SIGTERM);
        var result = await cluster.Process.WaitForExitAsync();
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("1 requests were not finished in time", result.Error);
    }

    [Fact]
    public async Task A_second_signal_ends_the_process_at_once()
    {
        using var models = new LongModel();
        using var cluster = await Cluster.StartAsync("serve", "--model", models.Path, "--workers", "1", "--drain-time", "3600");
        using var stream = await StreamAsync(cluster, tokens: 190_000);
        Assert.StartsWith("data: ", await stream.ReadLineAsync());
        cluster.Process.Signal(PosixSignal.SIGTERM);
        await cluster.Process.WaitForErrorLineAsync(line => line.StartsWith("draining: "));
        cluster.Process.Signal(PosixSignal.SIGTERM);
        Assert.Equal(128 + 15, (await cluster.Process.WaitForExitAsync()).ExitCode);
    }

    private static async Task<StreamReader> StreamAsync(Cluster cluster, int tokens)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = JsonContent.Create(new { prompt = new[] { 5 }, max_tokens = tokens, ignore_eos = true, stream = true }) };
        var response = await cluster.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        return new StreamReader(await response.Content.ReadAsStreamAsync());
    }
}
