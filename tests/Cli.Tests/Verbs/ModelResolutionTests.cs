using System.Diagnostics;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

/// <summary>What <c>--model</c> means to a real process.</summary>
public sealed class ModelResolutionTests : IDisposable
{
    private readonly Workspace _workspace = new();

    public void Dispose() => _workspace.Dispose();

    [Fact]
    public async Task Two_processes_at_once_import_a_source_once_and_say_so()
    {
        var cache = _workspace.PathTo("cache");
        var results = await Task.WhenAll(LogitsAsync(cache), LogitsAsync(cache));
        Assert.All(results, result => Assert.True(result.ExitCode == 0, result.Error));
        Assert.Equal(results[0].Output, results[1].Output);
        var store = Assert.Single(Directory.GetDirectories(Path.Combine(cache, "grok1"), "tiny", SearchOption.AllDirectories));
        Assert.Single(results, result => result.Error.Contains($"importing {_workspace.Source} to {store} (once)\n"));

        var later = await LogitsAsync(cache);
        Assert.Equal((0, results[0].Output), (later.ExitCode, later.Output));
        Assert.DoesNotContain("importing", later.Error);
        Assert.Equal(["ckpt-0", "config.json"], Directory.GetFileSystemEntries(_workspace.Source).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_broken_source_is_refused_without_a_line_about_the_cache()
    {
        File.Delete(_workspace.Tensor(5));
        Workspace.AssertRefused(await LogitsAsync(_workspace.PathTo("cache")), "missing: tensor00005_000");
    }

    [Fact]
    public async Task The_environment_names_another_demo_model()
    {
        var start = new ProcessStartInfo(Grok1Process.ExecutablePath, ["inspect", "demo"]) { Environment = { ["GROK1_DEMO_MODEL"] = "/no/such/store" } };
        Workspace.AssertRefused(await Grok1Process.RunAsync(start), "the demo model is not installed (/no/such/store)");

        await _workspace.ImportAsync();
        start.Environment["GROK1_DEMO_MODEL"] = _workspace.Store;
        Assert.Contains(_workspace.Store, (await Grok1Process.RunAsync(start)).Output);
    }

    private Task<Grok1Result> LogitsAsync(string cache) => Grok1Process.RunAsync(
        new ProcessStartInfo(Grok1Process.ExecutablePath, ["logits", "--model", _workspace.Source, "--tokens", "5,17", "--json"])
        {
            Environment = { ["XDG_CACHE_HOME"] = cache },
        });
}
