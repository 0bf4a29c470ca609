using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

public sealed class ImportVerbTests : IDisposable
{
    private readonly Workspace _workspace = new();

    public void Dispose() => _workspace.Dispose();

    [Theory]
    [InlineData("int8")]
    [InlineData("int4")]
    [InlineData("bf16")]
    [InlineData("f32")]
    public async Task A_checkpoint_becomes_a_sound_store(string weights)
    {
        var json = await _workspace.ImportAsync("--weights", weights);
        Assert.Equal("files bytes seconds", Workspace.Fields(json));
        var files = Directory.GetFiles(_workspace.Store, "*", SearchOption.AllDirectories);
        Assert.Equal(files.Length, json.GetProperty("files").GetInt32());
        Assert.Equal(files.Sum(file => new FileInfo(file).Length), json.GetProperty("bytes").GetInt64());
        Assert.False(Directory.Exists(_workspace.Staging));

        var verified = await Grok1Process.RunAsync("verify", _workspace.Store);
        Assert.Equal((0, ""), (verified.ExitCode, verified.Error));
    }

    [Fact]
    public async Task An_existing_target_is_left_alone()
    {
        Directory.CreateDirectory(_workspace.Store);
        var result = await Grok1Process.RunAsync("import", _workspace.Source, _workspace.Store);
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Equal($"grok1: {_workspace.Store} exists already; remove it or name another place\n", result.Error);
        Assert.Empty(Directory.GetFileSystemEntries(_workspace.Store));
    }

    [SharedFact("demo-model")]
    public async Task The_demo_store_is_what_an_import_of_its_checkpoint_writes()
    {
        var result = await Grok1Process.RunAsync("import", Path.Combine(Repository.Shared, "demo-model"), _workspace.Store);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        foreach (var file in Directory.EnumerateFiles(_workspace.Store, "*", SearchOption.AllDirectories))
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(Workspace.DemoStore, Path.GetRelativePath(_workspace.Store, file))));
    }

    [Fact]
    public async Task The_shares_of_a_plan_are_together_the_whole_model()
    {
        var plan = _workspace.PathTo("plan:1.json");
        var planned = await Grok1Process.RunAsync("plan", "--model", _workspace.Source, "--workers", "3", "--plan", "sliced", "--out", plan);
        Assert.Equal(0, planned.ExitCode);
        var coordinator = await ImportShareAsync("none", "coordinator");
        Assert.True(coordinator.GetProperty("holds_dense").GetBoolean());
        Assert.Equal(0, coordinator.GetProperty("held_blocks").GetInt32());

        var held = 0;
        for (var worker = 0; worker < 3; worker++)
        {
            var share = await ImportShareAsync($"{plan}:worker-{worker}", $"share-{worker}");
            Assert.False(share.GetProperty("holds_dense").GetBoolean());
            Assert.Equal(coordinator.GetProperty("fingerprint").GetString(), share.GetProperty("fingerprint").GetString());
            held += share.GetProperty("held_blocks").GetInt32();
        }
        Assert.Equal(coordinator.GetProperty("total_blocks").GetInt32(), held);
    }

    [Fact]
    public async Task A_worker_that_the_plan_does_not_name_is_refused()
    {
        var plan = _workspace.PathTo("plan.json");
        await Grok1Process.RunAsync("plan", "--model", _workspace.Source, "--workers", "2", "--out", plan);
        var result = await Grok1Process.RunAsync("import", _workspace.Source, _workspace.Store, "--tiles", $"{plan}:worker-7");
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains("gives worker worker-7 nothing; it has worker-0, worker-1", result.Error);
        Assert.False(Directory.Exists(_workspace.Store));
    }

    [Fact]
    public async Task A_plan_for_another_model_is_refused()
    {
        var plan = _workspace.PathTo("plan.json");
        await Grok1Process.RunAsync("plan", "--like", "grok-1", "--workers", "2", "--out", plan);
        Workspace.AssertRefused(
            await Grok1Process.RunAsync("import", _workspace.Source, _workspace.Store, "--tiles", $"{plan}:worker-0"), "does not fit model tiny");
    }

    private async Task<JsonElement> ImportShareAsync(string tiles, string name)
    {
        var target = _workspace.PathTo(name);
        var imported = await Grok1Process.RunAsync("import", _workspace.Source, target, "--tiles", tiles);
        Assert.True(imported.ExitCode == 0, imported.Error);
        var verified = await Grok1Process.RunAsync("verify", target);
        Assert.True(verified.ExitCode == 0, verified.Error);
        return Workspace.Json(await Grok1Process.RunAsync("inspect", target, "--json"));
    }
}
