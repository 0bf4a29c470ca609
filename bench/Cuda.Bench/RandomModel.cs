using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>The coordinator's share of a random model of one layer, in a temporary folder.</summary>
internal sealed class RandomModel : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-cuda-bench-");

    public RandomModel(int embeddingDim, int queryHeads, int kvHeads, int headDim, int vocabulary, int positions)
    {
        Config = new Grok1Config
        {
            EmbeddingDim = embeddingDim, FeedForwardDim = 32, LayerCount = 1, QueryHeadCount = queryHeads, KeyValueHeadCount = kvHeads, HeadDim = headDim,
            ExpertCount = 8, ExpertsPerToken = 2, VocabularySize = vocabulary, MaxSequenceLength = positions,
        };
        var path = Path.Combine(_folder.FullName, "store");
        StoreBuilder.Synthesise(Config, 5, path, new StoreBuildOptions { Weights = WeightFormat.Int8, Threads = Environment.ProcessorCount }, null, CancellationToken.None);
        Store = ModelStore.Open(path);
        Weights = Store.OpenDense();
    }

    public Grok1Config Config { get; }

    public ModelStore Store { get; }

    public DenseWeights Weights { get; }

    public void Dispose()
    {
        Weights.Dispose();
        Store.Dispose();
        _folder.Delete(recursive: true);
    }
}
