using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Kernels.Cuda.Tests.Kernels;

/// <summary>A store of random experts at some geometry, with rows for it.</summary>
internal sealed class SyntheticExperts : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-cuda-experts-");
    private readonly Dictionary<ExpertSlice, ExpertTile> _tiles = [];

    /// <param name="weights">int8 or int4.</param>
    /// <param name="embeddingDim">EmbeddingDim.</param>
    /// <param name="feedForwardDim">FeedForwardDim.</param>
    public SyntheticExperts(WeightFormat weights, int embeddingDim, int feedForwardDim)
    {
        var config = new Grok1Config
        {
            EmbeddingDim = embeddingDim, FeedForwardDim = feedForwardDim, LayerCount = 1, QueryHeadCount = 2, KeyValueHeadCount = 1, HeadDim = 32,
            ExpertCount = 4, ExpertsPerToken = 2, VocabularySize = 64, MaxSequenceLength = 64,
        };
        var path = Path.Combine(_folder.FullName, "store");
        StoreBuilder.Synthesise(config, 5, path, new StoreBuildOptions { Weights = weights, Threads = 1 }, null, CancellationToken.None);
        Store = ModelStore.Open(path);
    }

    public ModelStore Store { get; }

    public ExpertLayout Layout => Store.ExpertLayout;

    /// <summary>A slice of an expert of layer 0.</summary>
    public ExpertTile Tile(int expert, int start = 0, int? end = null)
    {
        var slice = new ExpertSlice(0, expert, start, end ?? Store.Config.FeedForwardDim);
        if (!_tiles.TryGetValue(slice, out var tile))
            _tiles[slice] = tile = Store.OpenTile(slice);
        return tile;
    }

    /// <summary>Random rows, the same for the same seed. In some a few values dominate, which are outliers where blocks are long enough.</summary>
    public Activations Rows(int count, ActivationFormat format, int seed)
    {
        var random = new Random(seed);
        var x = new Activations(Layout.InputAxis, format);
        x.Resize(count);
        var length = Layout.InputAxis.Length;
        for (var row = 0; row < count; row++)
        {
            float[] values = [.. Enumerable.Range(0, length).Select(_ => (float)(4 * random.NextDouble() - 2))];
            for (var i = 0; i < row % 4; i++)
                values[(row * 53 + i * 9) % length] = i % 2 == 0 ? 90 : -40;
            x.Set(row, values);
        }
        return x;
    }

    public void Dispose()
    {
        foreach (var tile in _tiles.Values)
            tile.Dispose();
        Store.Dispose();
        _folder.Delete(recursive: true);
    }
}
