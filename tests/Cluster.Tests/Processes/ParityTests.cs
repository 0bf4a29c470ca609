using System.Diagnostics;
using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Processes;

/// <summary>The whole system, as a user starts it, against the float32 reference: in one process, and with worker processes.</summary>
public class ParityTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    public static TheoryData<string, string[]> Clusters() => new()
    {
        { "tiny-a", ["--workers", "0"] },
        { "tiny-a", ["--workers", "3", "--plan", "whole"] },
        { "tiny-a", ["--workers", "5", "--plan", "sliced"] },
        { "tiny-b", ["--workers", "0"] },
        { "tiny-b", ["--workers", "3", "--plan", "whole"] },
        { "tiny-b", ["--workers", "5", "--plan", "sliced"] },
        { "tiny-b", ["--workers", "7", "--plan", "whole"] },
        { "tiny-b", ["--workers", "3", "--plan", "whole", "--pipeline-depth", "4"] },
        { "tiny-b", ["--workers", "5", "--plan", "sliced", "--pipeline-depth", "2"] },
    };

    [Theory]
    [MemberData(nameof(Clusters))]
    public async Task Logits_experts_and_greedy_tokens_are_the_references(string name, string[] cluster)
    {
        var reference = ModelFixture.Reference(name);
        foreach (var expected in reference.GetProperty("cases").EnumerateArray().Skip(3))
        {
            var logits = await JsonAsync(["logits", "--model", models.Golden(name), "--precision", "exact", "--tokens", Join(expected.GetProperty("tokens")), "--json", .. cluster]);
            var worst = logits.GetProperty("last_logits").EnumerateArray().Zip(expected.GetProperty("last_logits").EnumerateArray(), (a, b) => Math.Abs(a.GetDouble() - b.GetDouble())).Max();
            Assert.True(worst <= 2e-3, $"a logit is off by {worst}");
            Assert.Equal(Join(expected.GetProperty("argmax")), Join(logits.GetProperty("argmax")));
            if (expected.GetProperty("experts").ValueKind == JsonValueKind.Array)
                Assert.Equal(Compact(expected.GetProperty("experts")), Compact(logits.GetProperty("experts")));
        }
        var greedy = reference.GetProperty("greedy");
        var run = await JsonAsync(
        [
            "run", "--model", models.Golden(name), "--precision", "exact", "--temperature", "0", "--ignore-eos", "--json",
            "--tokens", Join(greedy.GetProperty("prompt")), "--max-tokens", greedy.GetProperty("tokens").GetArrayLength().ToString(), .. cluster,
        ]);
        Assert.Equal(Join(greedy.GetProperty("tokens")), Join(run.GetProperty("tokens")));
        Assert.All(run.GetProperty("workers").EnumerateArray(), worker => Assert.False(IsRunning(worker.GetProperty("pid").GetInt32()), "a worker outlived its cluster"));
    }

    [Theory]
    [InlineData(1, "whole")]
    [InlineData(2, "sliced")]
    [InlineData(16, "whole")]
    [InlineData(16, "sliced")]
    public async Task Any_number_of_workers_gives_the_same_exact_text(int workers, string plan)
    {
        string[] arguments = ["run", "--model", models.Golden("tiny-b"), "--precision", "exact", "--temperature", "0", "--tokens", "7,8,9", "--max-tokens", "20", "--json"];
        var alone = await JsonAsync([.. arguments, "--workers", "0"]);
        var together = await JsonAsync([.. arguments, "--workers", workers.ToString(), "--plan", plan]);
        Assert.Equal(Join(alone.GetProperty("tokens")), Join(together.GetProperty("tokens")));
        Assert.Equal(workers, together.GetProperty("workers").GetArrayLength());
    }

    private static async Task<JsonElement> JsonAsync(string[] arguments)
    {
        var result = await Grok1Process.RunAsync(arguments);
        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}: {result.Error}");
        return JsonDocument.Parse(result.Output).RootElement;
    }

    private static string Join(JsonElement ids) => string.Join(',', ids.EnumerateArray().Select(id => id.GetInt32()));

    private static string Compact(JsonElement json) => JsonSerializer.Serialize(json);

    private static bool IsRunning(int pid)
    {
        try
        {
            return !Process.GetProcessById(pid).HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}
