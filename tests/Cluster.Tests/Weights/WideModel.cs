using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cluster.Tests.Weights;

/// <summary>A store with four experts of 12 MB: large enough that what the runtime itself takes does not matter.</summary>
public sealed class WideModel : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-wide-").FullName;

    public WideModel() => StoreBuilder.Synthesise(new Grok1Config
    {
        EmbeddingDim = 512, FeedForwardDim = 8192, LayerCount = 1, ExpertCount = 4, QueryHeadCount = 4, KeyValueHeadCount = 1, HeadDim = 128, VocabularySize = 128, MaxSequenceLength = 64,
    }, seed: 1, Path, new StoreBuildOptions(), null, CancellationToken.None);

    public string Path => System.IO.Path.Combine(_directory, "wide");

    public void Dispose() => Directory.Delete(_directory, recursive: true);
}
