using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Tests.Layers;

/// <summary>Experts with blocks long enough for outliers, in their input and in their hidden rows.</summary>
public sealed unsafe class ExpertOutlierTests
{
    private const int EmbeddingDim = 512, FeedForwardDim = 1024, Rows = 48;

    [Fact]
    public void Rows_with_outliers_stay_close_to_exact_and_have_the_same_bits_alone_and_together_on_any_number_of_threads()
    {
        var folder = Directory.CreateTempSubdirectory("grok1-expert-outliers-");
        try
        {
            var config = new Grok1Config
            {
                EmbeddingDim = EmbeddingDim, FeedForwardDim = FeedForwardDim, LayerCount = 1, QueryHeadCount = 2, KeyValueHeadCount = 1, HeadDim = 32,
                ExpertCount = 2, ExpertsPerToken = 2, VocabularySize = 64, MaxSequenceLength = 64,
            };
            var path = Path.Combine(folder.FullName, "store");
            StoreBuilder.Synthesise(config, 5, path, new StoreBuildOptions { Weights = WeightFormat.Int8, Threads = 1 }, null, CancellationToken.None);
            using var store = ModelStore.Open(path);
            using var tile = store.OpenTile(new ExpertSlice(0, 0, 0, FeedForwardDim));
            int[] all = [.. Enumerable.Range(0, Rows)];
            var exact = Run(store, tile, ActivationFormat.Float32, all, threads: 1);
            var fast = Run(store, tile, ActivationFormat.Int8Blocks, all, threads: 1);
            for (var row = 0; row < Rows; row++)
            {
                double error = 0, power = 0;
                for (var i = row * EmbeddingDim; i < (row + 1) * EmbeddingDim; i++)
                    (error, power) = (error + Math.Pow(fast[i] - exact[i], 2), power + (double)exact[i] * exact[i]);
                Assert.True(Math.Sqrt(error / power) < 0.03, $"row {row} is off by {Math.Sqrt(error / power):P2}");
            }
            foreach (var threads in (int[])[2, 3])
                Assert.Equal(fast, Run(store, tile, ActivationFormat.Int8Blocks, all, threads));
            foreach (var few in (int[][])[[1], [7, 3], [5, 40, 2, 11, 6, 9, 22], [.. Enumerable.Range(20, 17)]])
            {
                var together = Run(store, tile, ActivationFormat.Int8Blocks, few, threads: 2);
                for (var i = 0; i < few.Length; i++)
                    Assert.Equal(fast[(few[i] * EmbeddingDim)..((few[i] + 1) * EmbeddingDim)], together[(i * EmbeddingDim)..((i + 1) * EmbeddingDim)]);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static float[] Run(ModelStore store, ExpertTile tile, ActivationFormat format, int[] rows, int threads)
    {
        using var pool = new ComputePool(threads, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, store.ExpertLayout, format);
        using var x = new Activations(store.ExpertLayout.InputAxis, format);
        x.Resize(rows.Length);
        for (var i = 0; i < rows.Length; i++)
            x.Set(i, Row(rows[i]));
        var sum = new float[rows.Length * EmbeddingDim];
        fixed (float* target = sum)
            feedForward.Accumulate([new TileWork(tile, 0, rows.Length)], x, [.. Enumerable.Range(0, rows.Length)], [.. Enumerable.Repeat(1f, rows.Length)], target);
        return sum;
    }

    /// <summary>Of every three rows one has an outlier, one has two in one block.</summary>
    private static float[] Row(int row)
    {
        var random = new Random(row);
        float[] x = [.. Enumerable.Range(0, EmbeddingDim).Select(_ => (float)(4 * random.NextDouble() - 2))];
        for (var i = 0; i < row % 3; i++)
            x[(row * 29 + i * 5) % EmbeddingDim] = i == 0 ? 100 : -50;
        return x;
    }
}
