using System.Text.Json;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Bench;

/// <summary><c>grok1 bench</c> as a user starts it. What it measures is not judged here, only that it was measured.</summary>
public class BenchVerbTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    private static readonly string[] Measured =
    [
        "workers", "concurrency", "prompt_tokens", "generated_tokens", "prefill_tokens_per_second", "decode_tokens_per_second", "weight_bytes_per_token", "roofline_fraction",
        "memory_peak_bytes", "experts_touched_per_layer",
    ];

    [Theory]
    [InlineData(0, "16,40")]
    [InlineData(2, "16")]
    public async Task Every_prompt_length_is_measured_at_every_concurrency(int workers, string prompts)
    {
        var lengths = prompts.Split(',').Select(int.Parse).ToArray();
        var report = await BenchAsync("--prompt", prompts, "--concurrency", "1,5", "--generate", "4", "--repeat", "2", "--workers", $"{workers}");
        var results = report.GetProperty("results").EnumerateArray().ToList();
        Assert.Equal(
            [.. lengths.Select(prompt => (1, prompt)), .. lengths.Select(prompt => (5, prompt))],
            results.Select(result => (result.GetProperty("concurrency").GetInt32(), result.GetProperty("prompt_tokens").GetInt32())));
        foreach (var result in results)
        {
            Assert.Equal(workers, result.GetProperty("workers").GetInt32());
            Assert.All(Measured.Skip(1), field => Assert.True(result.GetProperty(field).GetDouble() > 0, field));
            Assert.Equal(2, result.GetProperty("decode_runs").GetArrayLength());
            foreach (var field in (string[])["dispatch_p50_us", "dispatch_p99_us", "dispatch_p999_us"])
                Assert.Equal(workers == 0 ? JsonValueKind.Null : JsonValueKind.Number, result.GetProperty(field).ValueKind);
            Assert.InRange(result.GetProperty("experts_touched_per_layer").GetDouble(), 2, 8);
        }
        // A lone token touches two experts in every layer, five tokens more.
        Assert.Equal(2, results[0].GetProperty("experts_touched_per_layer").GetDouble());
        Assert.True(results[^1].GetProperty("experts_touched_per_layer").GetDouble() > 2);
        Assert.Equal(workers > 0, report.GetProperty("wire").GetArrayLength() > 0);
        Assert.True(report.GetProperty("read_bandwidth_gb_s").GetDouble() > 0);
        Assert.True(report.GetProperty("machine").GetProperty("cores").GetInt32() > 0);
        Assert.StartsWith("grok1 bench --model", report.GetProperty("command").GetString());
        Assert.NotEqual("", report.GetProperty("version").GetString());
    }

    [LinuxFact]
    public async Task A_cold_and_a_warm_start_are_measured_where_asked_for()
    {
        var start = (await BenchAsync("--prompt", "8", "--concurrency", "1", "--generate", "2", "--repeat", "1", "--start-times")).GetProperty("start");
        Assert.True(start.GetProperty("cold_seconds").GetDouble() > 0);
        Assert.True(start.GetProperty("warm_seconds").GetDouble() > 0);
        Assert.InRange(start.GetProperty("kept_fraction").GetDouble(), 0, 1);
    }

    [Theory]
    [InlineData("--prompt", "100000", "this model takes")]
    [InlineData("--prompt", "0", "whole numbers from 1")]
    [InlineData("--concurrency", "1,x", "whole numbers from 1 to 4096")]
    [InlineData("--generate", "1", "--generate")]
    public async Task What_cannot_be_measured_is_a_usage_error_that_names_the_flag(string flag, string value, string message)
    {
        var result = await Grok1Process.RunAsync("bench", "--model", models.Golden("tiny-b"), flag, value);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(flag, result.Error);
        Assert.Contains(message, result.Error);
    }

    [Fact]
    public async Task Sequences_that_the_kv_memory_does_not_hold_are_refused_before_anything_is_measured()
    {
        var result = await Grok1Process.RunAsync("bench", "--model", models.Golden("tiny-b"), "--prompt", "16", "--concurrency", "64", "--kv-memory", "1MB");
        Assert.Equal(4, result.ExitCode);
        Assert.Contains("--kv-memory", result.Error);
    }

    private async Task<JsonElement> BenchAsync(params string[] arguments)
    {
        var result = await Grok1Process.RunAsync(["bench", "--model", models.Golden("tiny-b"), .. arguments, "--json"]);
        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}: {result.Error}");
        return JsonDocument.Parse(result.Output).RootElement;
    }
}
