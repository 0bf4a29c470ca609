using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

public sealed class PlanVerbTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-cli-");

    private string PlanPath => Path.Combine(_folder.FullName, "plan.json");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData("whole", 8, new[] { 0, 32768 })]
    [InlineData("sliced", 3, new[] { 0, 10880, 21760, 32768 })]
    [InlineData("auto", 2, new[] { 0, 16384, 32768 })]
    public async Task The_plan_of_grok_1_is_printed_as_one_json_value(string plan, int workers, int[] cuts)
    {
        var result = await Grok1Process.RunAsync("plan", "--like", "grok-1", "--workers", $"{workers}", "--plan", plan);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal("grok-1", json.RootElement.GetProperty("model").GetString());
        Assert.Equal(cuts, json.RootElement.GetProperty("cuts").EnumerateArray().Select(cut => cut.GetInt32()));
        var tiles = json.RootElement.GetProperty("bundles").EnumerateArray().Sum(bundle => bundle.GetProperty("tiles").GetArrayLength());
        Assert.Equal(64 * 8 * (cuts.Length - 1), tiles);
    }

    [Fact]
    public async Task A_written_plan_is_checked_and_printed_again_the_same()
    {
        var written = await Grok1Process.RunAsync("plan", "--like", "grok-1", "--workers", "5", "--out", PlanPath);
        Assert.Equal((0, ""), (written.ExitCode, written.Output));
        var read = await Grok1Process.RunAsync("plan", "--like", "grok-1", "--plan", PlanPath);
        Assert.Equal((0, File.ReadAllText(PlanPath)), (read.ExitCode, read.Output));
    }

    [Fact]
    public async Task A_link_is_followed_and_not_replaced()
    {
        var link = Path.Combine(_folder.FullName, "link.json");
        File.WriteAllText(PlanPath, "");
        File.CreateSymbolicLink(link, PlanPath);
        Assert.Equal(0, (await Grok1Process.RunAsync("plan", "--like", "grok-1", "--out", link)).ExitCode);
        Assert.Equal(PlanPath, new FileInfo(link).LinkTarget);
        Assert.StartsWith("{", File.ReadAllText(PlanPath));
    }

    [Fact]
    public async Task Every_bundle_gets_as_many_workers_as_replicas_were_asked_for()
    {
        var result = await Grok1Process.RunAsync("plan", "--like", "grok-1", "--workers", "4", "--replicas", "2");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        using var json = JsonDocument.Parse(result.Output);
        Assert.All(json.RootElement.GetProperty("bundles").EnumerateArray(), bundle =>
            Assert.Equal(2, bundle.GetProperty("workers").EnumerateArray().Select(worker => worker.GetString()).Distinct().Count()));
    }

    [Fact]
    public async Task Workers_that_hold_nothing_are_told()
    {
        var result = await Grok1Process.RunAsync("plan", "--like", "grok-1", "--workers", "258", "--plan", "sliced", "--out", PlanPath);
        Assert.Contains("2 of 258 workers hold nothing", result.Error);
    }

    [Fact]
    public async Task Faster_workers_get_wider_slices()
    {
        // Computing costs nothing, so that reading alone decides.
        var result = await Grok1Process.RunAsync("plan", "--like", "grok-1", "--workers", "3", "--read-bandwidth", "200GB,100GB,100GB", "--tera-ops", "1000000");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal([0, 16384, 24576, 32768], json.RootElement.GetProperty("cuts").EnumerateArray().Select(cut => cut.GetInt32()));
    }

    [Fact]
    public async Task A_plan_that_does_not_fit_ends_with_3()
    {
        File.WriteAllText(PlanPath, """{"epoch":1,"model":"m","cuts":[0,32768],"bundles":[{"layer":0,"tiles":[[0,0]],"workers":["a"]}]}""");
        var result = await Grok1Process.RunAsync("plan", "--like", "grok-1", "--plan", PlanPath);
        Assert.Equal((3, ""), (result.ExitCode, result.Output));
        Assert.Equal(
            $"grok1: plan file {PlanPath} does not fit model grok-1: 511 tiles are missing: layer 0 experts 1-7 slice 0; layers 1-63 experts 0-7 slice 0\n",
            result.Error);
    }

    [Theory]
    [InlineData("models/demo", "demo", new[] { 0, 160, 320, 512 })]
    [InlineData("tests/data/tiny-a", "tiny-a", new[] { 0, 64, 128, 176 })]
    public async Task A_store_and_a_source_are_planned_on_the_edges_of_their_expert_blocks(string path, string name, int[] cuts)
    {
        var result = await Grok1Process.RunAsync("plan", "--model", Path.Combine(Repository.Root, path), "--workers", "3", "--plan", "sliced");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal(name, json.RootElement.GetProperty("model").GetString());
        Assert.Equal(cuts, json.RootElement.GetProperty("cuts").EnumerateArray().Select(cut => cut.GetInt32()));
    }
}
