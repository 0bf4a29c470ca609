using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Kernels.Bench;

/// <summary>
/// The feed-forward of two experts of 3 x 3072 x 16384 weights, from a store as a worker has it; an eighth of them for many
/// rows, which still exceeds the caches.
/// </summary>
internal static unsafe class ExpertBench
{
    private static readonly Grok1Config Config = new()
    {
        EmbeddingDim = 3072, QueryHeadCount = 24, KeyValueHeadCount = 4, FeedForwardDim = 16384, LayerCount = 1, VocabularySize = 8192,
    };

    public static void Run(ComputePool pool)
    {
        var folder = Directory.CreateTempSubdirectory("grok1-bench-");
        try
        {
            var path = Path.Combine(folder.FullName, "store");
            ExpertSlice[] slices = [new(0, 0, 0, Config.FeedForwardDim), new(0, 1, 0, Config.FeedForwardDim)];
            StoreBuilder.Synthesise(Config, 1, path, new StoreBuildOptions { Slices = slices, Threads = pool.Threads }, null, CancellationToken.None);
            using var store = ModelStore.Open(path);
            foreach (var rows in (int[])[1, 2, 4, 8])
                Measure(pool, store, slices, rows);
            ExpertSlice[] narrow = [.. slices.Select(slice => slice with { End = Config.FeedForwardDim / 8 })];
            foreach (var rows in (int[])[32, 128, 512])
                Measure(pool, store, narrow, rows);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static void Measure(ComputePool pool, ModelStore store, ExpertSlice[] slices, int rows)
    {
        var layout = store.ExpertLayout;
        ExpertTile[] tiles = [.. slices.Select(store.OpenTile)];
        foreach (var tile in tiles)
            tile.Load(new WeightMemory(WeightPages.Copied), CancellationToken.None);
        using var feedForward = new CpuExpertFeedForward(pool, layout, ActivationFormat.Int8Blocks);
        using var x = new Activations(layout.InputAxis, ActivationFormat.Int8Blocks);
        using var sum = new NativeBuffer<float>((long)rows * layout.Columns);
        var random = new Random(1);
        x.Resize(rows);
        for (var row = 0; row < rows; row++)
            x.Set(row, [.. Enumerable.Range(0, layout.Columns).Select(_ => random.NextSingle() - 0.5f)]);
        int[] pairRows = [.. Enumerable.Range(0, 2 * rows).Select(i => i % rows)];
        var gates = Enumerable.Repeat(0.5f, 2 * rows).ToArray();
        TileWork[] work = [new(tiles[0], 0, rows), new(tiles[1], rows, rows)];
        var bytes = tiles.Sum(tile => tile.Bytes);
        var hidden = slices.Sum(slice => (long)slice.End - slice.Start);
        Roofs.Compare(pool, $"experts {rows} x {layout.Columns} x {hidden}", bytes, 2L * rows * 3 * layout.Columns * hidden,
            () => feedForward.Accumulate(work, x, pairRows, gates, sum.Pointer));
        foreach (var tile in tiles)
            tile.Dispose();
    }
}
