using System.Diagnostics;
using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

/// <summary>What <c>cache</c> shows and removes, with real imports and real processes that use them.</summary>
public sealed class CacheVerbTests : IDisposable
{
    private readonly Workspace _workspace = new();

    public void Dispose() => _workspace.Dispose();

    [Fact]
    public async Task Caches_that_are_not_there_are_empty()
    {
        var list = await RunAsync("cache", "list", "--json");
        Assert.Equal((0, "bytes models"), (list.ExitCode, Workspace.Fields(Workspace.Json(list))));
        Assert.Empty(Models(list));
        Assert.Equal(0, (await RunAsync("cache", "prune", "--keep-size", "0")).ExitCode);
    }

    [Fact]
    public async Task The_least_recently_used_go_first_until_the_rest_fits()
    {
        var import = await ImportAsync();
        var (older, newer) = (Weights('1', days: 3), Weights('2', days: 2));
        var list = await RunAsync("cache", "list", "--json");
        Assert.Equal([older, newer, import], Models(list).Select(PathOf));
        Assert.Equal("kind name path bytes last_used in_use", Workspace.Fields(Models(list)[0]));
        Assert.Equal([("weights", new string('1', 64)), ("weights", new string('2', 64)), ("import", "tiny")], Models(list).Select(model => (Text(model, "kind"), Text(model, "name"))));
        Assert.Equal(new DirectoryInfo(import).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length), Models(list)[2].GetProperty("bytes").GetInt64());

        var keep = 1000 + Models(list)[2].GetProperty("bytes").GetInt64();
        var prune = await RunAsync("cache", "prune", "--keep-size", $"{keep}", "--json");
        Assert.Equal((0, "bytes removed_bytes removed models"), (prune.ExitCode, Workspace.Fields(Workspace.Json(prune))));
        Assert.Equal([older], Models(prune, "removed").Select(PathOf));
        Assert.Equal([newer, import], Models(prune).Select(PathOf));
        Assert.Equal((false, true, true), (Directory.Exists(older), Directory.Exists(newer), Directory.Exists(import)));
        Assert.Equal(keep, Workspace.Json(prune).GetProperty("bytes").GetInt64());

        var rest = await RunAsync("cache", "prune", "--keep-size", "0");
        Assert.Equal(0, rest.ExitCode);
        Assert.Contains("2 models removed", rest.Output);
        Assert.Equal((false, false), (Directory.Exists(newer), Directory.Exists(import)));
    }

    [Fact]
    public async Task What_a_process_uses_stays_until_it_ends()
    {
        using (var worker = Grok1Process.Start(Process("worker", "--model", _workspace.Source, "--listen", "127.0.0.1:0")))
        {
            await worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
            var kept = await RunAsync("cache", "prune", "--keep-size", "0", "--json");
            Assert.Equal(0, kept.ExitCode);
            Assert.Empty(Models(kept, "removed"));
            Assert.True(Assert.Single(Models(kept)).GetProperty("in_use").GetBoolean());
            worker.Kill();
            await worker.WaitForExitAsync();
        }
        Assert.Single(Models(await RunAsync("cache", "prune", "--keep-size", "0", "--json"), "removed"));

        // What was removed is imported again.
        await ImportAsync();
    }

    [Theory]
    [InlineData("Option '--keep-size' is required", "cache", "prune")]
    [InlineData("'-1' is not 0 or a size", "cache", "prune", "--keep-size=-1")]
    public async Task A_size_must_be_given(string expected, params string[] arguments)
    {
        var result = await RunAsync(arguments);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(expected, result.Error);
    }

    private string Cache => Path.Combine(_workspace.PathTo("cache"), "grok1");

    private async Task<string> ImportAsync()
    {
        var result = await RunAsync("logits", "--model", _workspace.Source, "--tokens", "5,17", "--json");
        Assert.True(result.ExitCode == 0, result.Error);
        return Path.GetDirectoryName(Assert.Single(Directory.GetDirectories(Cache, "tiny", SearchOption.AllDirectories)))!;
    }

    /// <summary>A record of a block of 1000 bytes.</summary>
    private string Weights(char digit, int days)
    {
        var directory = Path.Combine(Cache, "weights", new string(digit, 64));
        Directory.CreateDirectory(directory);
        File.WriteAllText(Path.Combine(directory, "blocks"), $"\n0 0 0 1000 {new string('a', 64)}");
        File.WriteAllText(Path.Combine(directory, "in-use"), "");
        File.SetLastWriteTimeUtc(Path.Combine(directory, "in-use"), DateTime.UtcNow.AddDays(-days));
        return directory;
    }

    private static IReadOnlyList<JsonElement> Models(Grok1Result result, string field = "models") => [.. Workspace.Json(result).GetProperty(field).EnumerateArray()];

    private static string PathOf(JsonElement model) => Text(model, "path");

    private static string Text(JsonElement model, string field) => model.GetProperty(field).GetString()!;

    private Task<Grok1Result> RunAsync(params string[] arguments) => Grok1Process.RunAsync(Process(arguments));

    private ProcessStartInfo Process(params string[] arguments) =>
        new(Grok1Process.ExecutablePath, arguments) { Environment = { ["XDG_CACHE_HOME"] = _workspace.PathTo("cache") } };
}
