using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>A store of random experts of one layer in a temporary folder, and rows for it.</summary>
internal sealed class RandomExperts : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-cuda-bench-");

    public RandomExperts(WeightFormat format, int embeddingDim, int feedForwardDim, int experts)
    {
        var config = new Grok1Config
        {
            EmbeddingDim = embeddingDim, FeedForwardDim = feedForwardDim, LayerCount = 1, QueryHeadCount = 2, KeyValueHeadCount = 1, HeadDim = 32,
            ExpertCount = Math.Max(experts, 2), ExpertsPerToken = 2, VocabularySize = 64, MaxSequenceLength = 64,
        };
        var path = Path.Combine(_folder.FullName, "store");
        ExpertSlice[] slices = [.. Enumerable.Range(0, experts).Select(expert => new ExpertSlice(0, expert, 0, feedForwardDim))];
        StoreBuilder.Synthesise(config, 5, path, new StoreBuildOptions { Weights = format, Slices = slices, Threads = Environment.ProcessorCount }, null, CancellationToken.None);
        Store = ModelStore.Open(path);
        Tiles = [.. slices.Select(Store.OpenTile)];
    }

    public ModelStore Store { get; }

    public IReadOnlyList<ExpertTile> Tiles { get; }

    public Activations Rows(int count, ActivationFormat format, int seed)
    {
        var random = new Random(seed);
        var x = new Activations(Store.ExpertLayout.InputAxis, format);
        x.Resize(count);
        var row = new float[Store.ExpertLayout.InputAxis.Length];
        for (var i = 0; i < count; i++)
        {
            foreach (ref var value in row.AsSpan())
                value = (float)(4 * random.NextDouble() - 2);
            x.Set(i, row);
        }
        return x;
    }

    public void Dispose()
    {
        foreach (var tile in Tiles)
            tile.Dispose();
        Store.Dispose();
        _folder.Delete(recursive: true);
    }
}
