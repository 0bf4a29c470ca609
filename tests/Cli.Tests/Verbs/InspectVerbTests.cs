using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

public sealed class InspectVerbTests
{
    [Fact]
    public async Task A_store_is_described_for_programs()
    {
        var result = await Grok1Process.RunAsync("inspect", "demo", "--json");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        var json = Workspace.Json(result);
        Assert.Equal(("store", "demo"), (json.GetProperty("kind").GetString(), json.GetProperty("name").GetString()));
        Assert.Equal(128, json.GetProperty("config").GetProperty("embedding_dim").GetInt32());
        Assert.Equal(Workspace.Tokenizer, json.GetProperty("tokenizer").GetString());
        Assert.Equal(
            Directory.GetFiles(Workspace.DemoStore, "*", SearchOption.AllDirectories).Where(file => !file.EndsWith(".md")).Sum(file => new FileInfo(file).Length),
            json.GetProperty("file_bytes").GetInt64());
    }

    [Fact]
    public async Task A_source_is_described_for_people_without_an_import()
    {
        var result = await Grok1Process.RunAsync("inspect", Path.Combine(Repository.TestData, "tiny-a"));
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Contains("12 layers, EmbeddingDim 64, FeedForwardDim 176, 8 experts", result.Output);
        Assert.Contains("no tokenizer", result.Output);
    }

    [Fact]
    public async Task A_path_without_a_model_is_refused() =>
        Workspace.AssertRefused(await Grok1Process.RunAsync("inspect", Repository.TestData), "no model here");
}
