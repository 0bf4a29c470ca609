using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

public sealed class SimulateVerbTests
{
    private static readonly string[] Fleet =
        ["--like", "grok-1", "--workers", "8", "--read-bandwidth", "100GB", "--tera-ops", "5", "--link", "1.25GB", "--round-trip", "100"];

    [Fact]
    public async Task Steps_of_grok_1_are_predicted_by_the_formula_and_marked_as_prediction()
    {
        using var json = await SimulateAsync([.. Fleet, "--plan", "sliced", "--concurrency", "1,8", "--context", "0"]);
        Assert.True(json.RootElement.GetProperty("prediction").GetBoolean());
        var one = json.RootElement.GetProperty("results")[0];
        // 77.3 billion weights of 8.045 bits on 8 machines, two operations each; 100 us and 8 times 6336 bytes out and 12288 back a layer.
        Assert.Equal(77.31e9 * 8.045 / 8 / 8 / 100e9 + 77.31e9 * 2 / 8 / 5e12, one.GetProperty("expert_seconds").GetDouble(), 4);
        Assert.Equal(64 * (100e-6 + 8 * (6336 + 12288) / 1.25e9), one.GetProperty("wire_seconds").GetDouble(), 6);
        // 6.44 billion dense weights, and routers in float32; two operations each.
        Assert.Equal(0.0649 + 12.9e9 / 5e12, one.GetProperty("coordinator_seconds").GetDouble(), 4);
        Assert.Equal(1 / one.GetProperty("step_seconds").GetDouble(), one.GetProperty("decode_tokens_per_second").GetDouble(), 6);
        Assert.Equal(8, json.RootElement.GetProperty("results")[1].GetProperty("concurrency").GetInt32());
    }

    [Fact]
    public async Task Auto_chooses_slices_for_one_sequence_and_whole_experts_for_sixteen()
    {
        using var json = await SimulateAsync([.. Fleet, "--concurrency", "1,16"]);
        Assert.Equal([8, 1], json.RootElement.GetProperty("results").EnumerateArray().Select(row => row.GetProperty("cut").GetInt32()));
    }

    [Fact]
    public async Task The_table_says_that_it_is_a_prediction()
    {
        var result = await Grok1Process.RunAsync(["simulate", .. Fleet]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Contains("PREDICTION, not measured", result.Output);
    }

    [Fact]
    public async Task Uneven_machines_are_named_one_by_one_and_a_wrong_count_is_refused()
    {
        using var json = await SimulateAsync("--model", Path.Combine(Repository.Root, "models", "demo"), "--workers", "2", "--read-bandwidth", "20GB,10GB");
        Assert.Equal("demo", json.RootElement.GetProperty("model").GetString());

        var result = await Grok1Process.RunAsync("simulate", "--like", "grok-1", "--workers", "3", "--read-bandwidth", "20GB,10GB");
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains("--read-bandwidth: 2 sizes for 3 workers", result.Error);
    }

    [Fact]
    public async Task Machines_too_small_for_the_model_end_with_3_and_the_bytes()
    {
        var result = await Grok1Process.RunAsync(["simulate", .. Fleet, "--worker-memory", "24GB"]);
        Assert.Equal((3, ""), (result.ExitCode, result.Output));
        Assert.Contains("the experts of model grok-1 do not fit into its workers: they take 310977", result.Error);
    }

    private static async Task<JsonDocument> SimulateAsync(params string[] arguments)
    {
        var result = await Grok1Process.RunAsync(["simulate", .. arguments, "--json"]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return JsonDocument.Parse(result.Output);
    }
}
