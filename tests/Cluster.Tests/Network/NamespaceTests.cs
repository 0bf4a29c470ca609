using System.Text.Json;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.TestKit;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Cluster.Tests.Network;

/// <summary>A coordinator and two workers on hosts of their own, behind links that are slow or long. How fast that is, bench/Network.Bench says.</summary>
public class NamespaceTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [NamespaceTheory]
    [InlineData("sliced", null, 0.0)]
    [InlineData("sliced", "20mbit", 0.1)]
    [InlineData("whole", "1gbit", 1.0)]
    [InlineData("sliced", null, 5.0)]
    public async Task Slow_and_long_links_change_no_token(string plan, string? rate, double oneWayMilliseconds)
    {
        var model = models.Golden("tiny-b");
        string[] request = ["--precision", "exact", "--temperature", "0", "--ignore-eos", "--tokens", "7,8,9,400,3,77,150,12", "--max-tokens", "16", "--json"];
        using var lab = new NetworkLab(3, rate);
        using var cluster = await LabCluster.StartAsync(lab, model, plan, TimeSpan.FromMilliseconds(oneWayMilliseconds));
        var apart = await cluster.RunAsync(null, ["run", .. cluster.CoordinatorFlags, .. request]);
        var alone = await Grok1Process.RunAsync(["run", "--model", model, "--workers", "0", .. request]);
        Assert.Equal(Tokens(alone), Tokens(apart));
    }

    private static string Tokens(Grok1Result result)
    {
        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}: {result.Error}");
        var tokens = JsonDocument.Parse(result.Output).RootElement.GetProperty("tokens");
        Assert.Equal(16, tokens.GetArrayLength());
        return tokens.ToString();
    }
}
