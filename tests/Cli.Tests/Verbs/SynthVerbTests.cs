using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

public sealed class SynthVerbTests : IDisposable
{
    private static readonly string[] Small =
        ["--layers", "1", "--embedding-dim", "128", "--query-heads", "2", "--kv-heads", "1", "--feed-forward-dim", "256", "--experts", "3", "--vocabulary", "64"];

    private readonly Workspace _workspace = new();

    public void Dispose() => _workspace.Dispose();

    [Theory]
    [InlineData("int8")]
    [InlineData("int4")]
    [InlineData("bf16")]
    [InlineData("f32")]
    public async Task Random_weights_of_the_geometry_asked_for_are_a_sound_store(string weights)
    {
        var result = await Grok1Process.RunAsync(["synth", _workspace.Store, "--json", "--weights", weights, .. Small]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Equal("files bytes seconds", Workspace.Fields(Workspace.Json(result)));
        Assert.Equal(0, (await Grok1Process.RunAsync("verify", _workspace.Store)).ExitCode);

        var config = Workspace.Json(await Grok1Process.RunAsync("inspect", _workspace.Store, "--json")).GetProperty("config");
        int Size(string name) => config.GetProperty(name).GetInt32();
        Assert.Equal((1, 128, 2, 1, 64), (Size("layer_count"), Size("embedding_dim"), Size("query_head_count"), Size("key_value_head_count"), Size("head_dim")));
        Assert.Equal((256, 3, 2, 64), (Size("feed_forward_dim"), Size("expert_count"), Size("experts_per_token"), Size("vocabulary_size")));
        Assert.Equal(0.125f, config.GetProperty("attention_multiplier").GetSingle());
        Assert.Equal(MathF.Sqrt(128), config.GetProperty("embedding_multiplier").GetSingle());
    }

    [Fact]
    public async Task The_seed_decides_the_bytes()
    {
        var stores = new List<byte[]>();
        foreach (var (name, seed) in new[] { ("a", "7"), ("b", "7"), ("c", "8") })
        {
            var target = _workspace.PathTo(name);
            Assert.Equal(0, (await Grok1Process.RunAsync(["synth", target, "--seed", seed, .. Small])).ExitCode);
            stores.Add(File.ReadAllBytes(Path.Combine(target, "experts/layer-00-expert-0.bin")));
        }
        Assert.Equal(stores[0], stores[1]);
        Assert.NotEqual(stores[0], stores[2]);
    }

    [Fact]
    public async Task A_store_that_the_disk_cannot_hold_is_not_begun()
    {
        var result = await Grok1Process.RunAsync("synth", _workspace.Store, "--layers", "1024", "--feed-forward-dim", "262144", "--weights", "f32");
        Assert.Equal((4, ""), (result.ExitCode, result.Output));
        Assert.Matches(@"needs \S+ [KMGT]iB \(\d+ bytes\) of disk, \S+ [KMGT]iB \(\d+ bytes\) are available", result.Error);
    }
}
