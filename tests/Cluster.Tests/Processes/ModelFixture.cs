using System.Text.Json;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Processes;

/// <summary>Stores that the process tests run: the reference checkpoints, and random weights with a long context.</summary>
public sealed class ModelFixture : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-cluster-tests-").FullName;
    private readonly Lock _lock = new();
    private Grok1Process? _server;

    /// <summary>The store of <c>tests/data/{name}</c>.</summary>
    public string Golden(string name) => Make(name, path =>
    {
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, name));
        StoreBuilder.Import(checkpoint, path, new StoreBuildOptions(), null, CancellationToken.None);
    });

    /// <summary>The same with the coordinator's tensors alone.</summary>
    public string WithoutExperts(string name) => Make(Path.Combine("coordinator", name), path =>
    {
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, name));
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        StoreBuilder.Import(checkpoint, path, new StoreBuildOptions { DenseOnly = true }, null, CancellationToken.None);
    });

    /// <summary>The reference results of <c>tests/data/{name}</c>.</summary>
    public static JsonElement Reference(string name) =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.TestData, name, "golden.json"))).RootElement;

    /// <summary>Random weights whose context is so long that a generation is under way when a test interferes.</summary>
    public string Endless() => Make("endless", path => StoreBuilder.Synthesise(
        new Grok1Config
        {
            EmbeddingDim = 64, FeedForwardDim = 256, LayerCount = 4, QueryHeadCount = 2, KeyValueHeadCount = 1, HeadDim = 32, VocabularySize = 128,
            EmbeddingMultiplier = 8, AttentionMultiplier = 0.1767767f, MaxSequenceLength = 200_000,
        }, seed: 1, path, new StoreBuildOptions(), null, CancellationToken.None));

    /// <summary>A coordinator of tiny-b without workers, started once and shared.</summary>
    public async Task<Uri> ServerAsync()
    {
        lock (_lock)
            _server ??= Grok1Process.Start("serve", "--model", Golden("tiny-b"), "--port", "0");
        var line = await _server.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        return new Uri(line[(line.LastIndexOf(' ') + 1)..]);
    }

    public void Dispose()
    {
        _server?.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private string Make(string name, Action<string> write)
    {
        lock (_lock)
        {
            var path = Path.Combine(_directory, name);
            if (!Directory.Exists(path))
                write(path);
            return path;
        }
    }
}
