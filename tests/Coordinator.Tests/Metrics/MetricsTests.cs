using System.Diagnostics;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Metrics;

public sealed class MetricsTests
{
    /// <summary>Names that dashboards outside this project may rely on.</summary>
    private static readonly string[] Promised =
    [
        "grok1_time_to_first_token_seconds_bucket", "grok1_time_per_output_token_seconds_bucket", "grok1_e2e_request_latency_seconds_bucket", "grok1_request_queue_time_seconds_bucket",
        "grok1_requests_running", "grok1_requests_waiting", "grok1_kv_cache_usage_ratio", "grok1_prompt_tokens_total", "grok1_generation_tokens_total", "grok1_preemptions_total",
        "grok1_prefix_cache_hit_tokens_total", "grok1_moe_expert_tokens_total", "grok1_dispatch_seconds_bucket", "grok1_wire_bytes_total", "grok1_tiles_missing", "grok1_plan_epoch",
    ];

    [Fact]
    public async Task A_request_shows_in_every_promised_metric_with_the_numbers_that_it_has()
    {
        using var cluster = await Cluster.StartAsync("serve", "--model", "demo", "--workers", "2", "--plan", "whole");
        await cluster.CompleteAsync(new { prompt = new[] { 5, 6, 7, 8 }, max_tokens = 12, ignore_eos = true });
        var metrics = new Exposition(await cluster.Client.GetStringAsync("/metrics"));

        Assert.Empty(Promised.Except(metrics.Names));
        Assert.Equal(1, metrics.Sum("grok1_time_to_first_token_seconds_count"));
        Assert.Equal(11, metrics.Sum("grok1_time_per_output_token_seconds_count"));
        Assert.Equal(1, metrics.Sum("grok1_requests_total", "outcome=\"length\""));
        Assert.Equal(4, metrics.Sum("grok1_prompt_tokens_total"));
        Assert.Equal(12, metrics.Sum("grok1_generation_tokens_total"));
        // The last token is not computed further: 4 rows of the prompt and 11 of decoding, 2 experts each, in each layer.
        for (var layer = 0; layer < 4; layer++)
            Assert.Equal(2 * 15, metrics.Sum("grok1_moe_expert_tokens_total", $"layer=\"{layer}\""));
        Assert.Equal(4 * 8, metrics.Count("grok1_moe_expert_tokens_total"));
        foreach (var phase in (string[])["send", "queue", "compute", "receive"])
            Assert.Equal(metrics.Sum("grok1_worker_calls_total"), metrics.Sum("grok1_dispatch_seconds_count", $"phase=\"{phase}\""));
        foreach (var worker in (string[])["worker-0", "worker-1"])
        {
            Assert.True(metrics.Sum("grok1_wire_bytes_total", $"worker=\"{worker}\"", "direction=\"sent\"") > 1000);
            Assert.True(metrics.Sum("grok1_wire_bytes_total", $"worker=\"{worker}\"", "direction=\"received\"") > 1000);
            Assert.Equal(1, metrics.Sum("grok1_worker_up", $"worker=\"{worker}\""));
        }
        Assert.Equal(0, metrics.Sum("grok1_tiles_missing"));
        Assert.Equal(1, metrics.Sum("grok1_plan_epoch"));
        Assert.Equal(1, metrics.Sum("grok1_ready"));
        Assert.Equal(1, metrics.Sum("grok1_loaded_ratio"));
        Assert.Equal(1, metrics.Sum("grok1_http_requests_total", "route=\"/v1/completions\"", "status=\"200\""));
    }

    [ProgramFact("promtool", "prometheus")]
    public async Task Promtool_finds_nothing_to_say_about_coordinator_and_worker()
    {
        using var worker = Grok1Process.Start("worker", "--model", "demo", "--listen", "127.0.0.1:0", "--http-port", "0");
        var metricsLine = await worker.WaitForErrorLineAsync(line => line.Contains("metrics on "));
        var listening = await worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
        using var cluster = await Cluster.StartAsync("serve", "--model", "demo", "--plan", "whole", "--worker-address", listening.Split(' ')[^1]);
        await cluster.CompleteAsync(new { prompt = new[] { 5, 6 }, max_tokens = 4, ignore_eos = true });

        await CheckAsync(await cluster.Client.GetStringAsync("/metrics"));
        var text = await cluster.Client.GetStringAsync(metricsLine.Split(' ')[^1]);
        await CheckAsync(text);
        var metrics = new Exposition(text);
        // 2 rows of the prompt and 3 of decoding: a call a step and layer, and 2 experts a row.
        Assert.Equal(4 * 4, metrics.Sum("grok1_expert_worker_calls_total"));
        Assert.Equal(4 * 5, metrics.Sum("grok1_expert_worker_rows_total"));
        Assert.Equal(4 * 5 * 2, metrics.Sum("grok1_expert_worker_expert_tokens_total"));
        Assert.Equal(4 * 4, metrics.Sum("grok1_expert_worker_compute_seconds_count"));
        Assert.Equal(4 * 8, metrics.Sum("grok1_expert_worker_tiles"));
    }

    [Fact]
    public async Task A_path_that_a_client_makes_up_makes_no_series()
    {
        using var cluster = await Cluster.StartAsync("serve", "--model", "demo");
        for (var i = 0; i < 5; i++)
            using (await cluster.Client.GetAsync($"/v1/no-such-{i}")) { }
        var metrics = new Exposition(await cluster.Client.GetStringAsync("/metrics"));
        Assert.Equal(5, metrics.Sum("grok1_http_requests_total", "route=\"none\"", "status=\"404\""));
        Assert.DoesNotContain("no-such", await cluster.Client.GetStringAsync("/metrics"));
    }

    private static async Task CheckAsync(string text)
    {
        var result = await Grok1Process.RunAsync(new ProcessStartInfo("promtool", ["check", "metrics"]), text);
        Assert.True(result.ExitCode == 0 && (result.Output + result.Error).Trim() == "", $"promtool: {result.Output}{result.Error}");
    }
}
