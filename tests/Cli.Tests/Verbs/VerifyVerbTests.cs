using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

public sealed class VerifyVerbTests : IAsyncLifetime
{
    private readonly Workspace _workspace = new();

    public async Task InitializeAsync() => await _workspace.ImportAsync();

    public Task DisposeAsync()
    {
        _workspace.Dispose();
        return Task.CompletedTask;
    }

    [Fact]
    public async Task The_demo_model_is_sound()
    {
        var result = await Grok1Process.RunAsync("verify", "demo", "--json");
        Assert.Equal(0, result.ExitCode);
        var json = Workspace.Json(result);
        Assert.Equal("sound files bytes problems unlisted", Workspace.Fields(json));
        Assert.True(json.GetProperty("sound").GetBoolean());
    }

    [Theory]
    [InlineData("experts/layer-00-expert-0.bin", "1 of 8 blocks have another SHA-256 than in the manifest: 0")]
    [InlineData("dense.bin", "its SHA-256 is not the one in the manifest")]
    public async Task A_flipped_bit_is_found(string file, string message)
    {
        var path = Path.Combine(_workspace.Store, file);
        var bytes = File.ReadAllBytes(path);
        bytes[100] ^= 1;
        File.WriteAllBytes(path, bytes);
        Workspace.AssertRefused(await VerifyAsync(), $"{path}: {message}");
    }

    [Fact]
    public async Task An_exchanged_file_is_found()
    {
        var path = Path.Combine(_workspace.Store, "experts/layer-00-expert-0.bin");
        File.Copy(Path.Combine(_workspace.Store, "experts/layer-01-expert-0.bin"), path, overwrite: true);
        Workspace.AssertRefused(await VerifyAsync(), $"{path}: no block has its SHA-256 of the manifest");
    }

    [Fact]
    public async Task Several_problems_are_listed_and_counted()
    {
        File.Delete(Path.Combine(_workspace.Store, "experts/layer-00-expert-0.bin"));
        File.Delete(Path.Combine(_workspace.Store, "dense.bin"));
        var result = await VerifyAsync();
        Workspace.AssertRefused(result, "2 problems, see above");
        Assert.Equal(2, result.Output.TrimEnd('\n').Split('\n').Length);

        var json = await Grok1Process.RunAsync("verify", _workspace.Store, "--json");
        Assert.Equal(3, json.ExitCode);
        Assert.Equal(2, Workspace.Json(json).GetProperty("problems").GetArrayLength());
    }

    [Fact]
    public async Task A_manifest_that_is_no_manifest_is_refused()
    {
        File.WriteAllText(Path.Combine(_workspace.Store, "manifest.json"), "{\"version\": 1}");
        var refused = await VerifyAsync();
        Workspace.AssertRefused(refused, "manifest.json: is not a manifest of a model store");
        Assert.DoesNotContain("Grok1Cluster.", refused.Error);
    }

    [Fact]
    public async Task A_source_is_not_a_store() =>
        Workspace.AssertRefused(await Grok1Process.RunAsync("verify", _workspace.Source), "is not a model store (it has no manifest.json); grok1 import makes one of a source checkpoint");

    private Task<Grok1Result> VerifyAsync() => Grok1Process.RunAsync("verify", _workspace.Store);
}
