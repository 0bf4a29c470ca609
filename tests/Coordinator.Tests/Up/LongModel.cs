using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Coordinator.Tests.Up;

/// <summary>Random weights, small and quick, whose context is so long that a generation is under way when a test interferes.</summary>
internal sealed class LongModel : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-up-tests-").FullName;

    public LongModel() => StoreBuilder.Synthesise(
        new Grok1Config
        {
            EmbeddingDim = 64, FeedForwardDim = 128, LayerCount = 1, QueryHeadCount = 2, KeyValueHeadCount = 1, HeadDim = 32, VocabularySize = 128,
            EmbeddingMultiplier = 8, AttentionMultiplier = 0.1767767f, MaxSequenceLength = 200_000,
        }, seed: 1, Path, new StoreBuildOptions(), null, CancellationToken.None);

    public string Path => System.IO.Path.Combine(_directory, "long");

    public void Dispose() => Directory.Delete(_directory, recursive: true);
}
