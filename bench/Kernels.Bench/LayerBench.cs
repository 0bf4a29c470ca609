using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Kernels.Bench;

/// <summary>
/// One layer of a store at its true size, its parts timed apart: the dense products of attention, the head, attention over a
/// context of 8,192 positions, and experts whole and in 2, 4 and 8 slices, for 1 to 32 rows.
/// <c>grok1 synth DIR --like grok-1 --layers 1 --vocabulary 8192</c> makes such a store.
/// </summary>
internal static unsafe class LayerBench
{
    private const int Context = 8192;
    private static readonly int[] Batches = [1, 2, 4, 8, 16, 32];

    public static void Run(ComputePool pool, string path)
    {
        using var store = ModelStore.Open(path);
        using var dense = store.OpenDense();
        dense.Load(new WeightMemory(WeightPages.Copied), CancellationToken.None);
        foreach (var rows in Batches)
        {
            MeasureProduct(pool, $"query, key, value, output x {rows}", rows,
                [dense.Packed(TensorRole.Query), dense.Packed(TensorRole.Key), dense.Packed(TensorRole.Value)], [dense.Packed(TensorRole.AttentionOutput)]);
            MeasureProduct(pool, $"head x {rows}", rows, [dense.Packed(TensorRole.Embedding)], []);
        }
        foreach (var rows in (int[])[1, 8])
            MeasureAttention(pool, store, dense, rows);
        foreach (var slices in (int[])[1, 2, 4, 8])
            MeasureExperts(pool, store, slices);
    }

    private static void MeasureProduct(ComputePool pool, string name, int rows, PackedMatrix[] first, PackedMatrix[] second)
    {
        using var product = new MatrixProduct();
        var all = first.Concat(second).ToArray();
        using var y = new NativeBuffer<float>((long)rows * all.Max(matrix => PanelLayout.PaddedColumns(matrix.Columns)));
        var inputs = all.Select(matrix => matrix.Axis).Distinct().ToDictionary(axis => axis, axis => RandomRows(axis, rows));
        Roofs.Compare(pool, name, all.Sum(matrix => matrix.WeightBytes), all.Sum(matrix => 2L * rows * matrix.Axis.Length * matrix.Columns), () =>
        {
            foreach (var group in (PackedMatrix[][])[first, second])
            {
                foreach (var matrix in group)
                    product.Add(matrix, y.Pointer);
                if (group.Length > 0)
                    product.Run(pool, inputs[group[0].Axis]);
            }
        });
        foreach (var input in inputs.Values)
            input.Dispose();
    }

    /// <summary>Decode of several sequences, each at the end of its own context: everything a coordinator does in a layer but the router.</summary>
    private static void MeasureAttention(ComputePool pool, ModelStore store, DenseWeights dense, int rows)
    {
        using var attention = new CpuLayerAttention(store.Config, dense, pool, exact: false);
        var blocks = Context / KvBlockLayout.Tokens;
        using var kv = new NativeBuffer<byte>(attention.KvBlockBytes * blocks * rows);
        kv.Slice(0, 1).Fill(0);
        for (long at = 0; at < kv.Length; at += 4096)
            kv.Pointer[at] = 0;
        using var residual = new NativeBuffer<float>((long)rows * store.Config.EmbeddingDim);
        var random = new Random(1);
        foreach (ref var value in residual.Span)
            value = random.NextSingle() - 0.5f;
        var batch = new TokenBatch();
        for (var row = 0; row < rows; row++)
            batch.Add([7], Context - 1, [.. Enumerable.Range(0, blocks).Select(block => (nint)kv.Pointer + (nint)((long)(row * blocks + block) * attention.KvBlockBytes))]);
        var matrices = ((TensorRole[])[TensorRole.Query, TensorRole.Key, TensorRole.Value, TensorRole.AttentionOutput]).Select(role => dense.Packed(role)).ToArray();
        Roofs.Compare(pool, $"attention of {rows} x {Context} positions", matrices.Sum(matrix => matrix.WeightBytes) + kv.Length / store.Config.LayerCount,
            matrices.Sum(matrix => 2L * rows * matrix.Axis.Length * matrix.Columns), () => attention.Forward(0, batch, residual));
    }

    /// <summary>A worker's slice of every expert; the rows are dealt to the experts as a router without favourites would.</summary>
    private static void MeasureExperts(ComputePool pool, ModelStore store, int slices)
    {
        var (config, layout) = (store.Config, store.ExpertLayout);
        var end = layout.Blocks.Count / slices * layout.BlockWidth;
        var tiles = Enumerable.Range(0, config.ExpertCount).Select(expert => store.OpenTile(new ExpertSlice(0, expert, 0, slices == 1 ? config.FeedForwardDim : end))).ToArray();
        WeightLoading.LoadAll(tiles, new WeightMemory(WeightPages.Copied), null, null, CancellationToken.None);
        using var feedForward = new CpuExpertFeedForward(pool, layout, ActivationFormat.Int8Blocks);
        var executor = new BundleExecutor(feedForward);
        foreach (var rows in Batches)
        {
            var random = new Random(rows);
            using var x = RandomRows(layout.InputAxis, rows);
            using var sum = new NativeBuffer<float>((long)rows * layout.Columns);
            int[] experts = [.. Enumerable.Range(0, rows).SelectMany(_ => Enumerable.Range(0, config.ExpertCount).OrderBy(_ => random.Next()).Take(config.ExpertsPerToken))];
            var gates = Enumerable.Repeat(0.5f, experts.Length).ToArray();
            var touched = experts.Distinct().Count();
            Roofs.Compare(pool, $"experts 1/{slices} x {rows} ({touched} touched)", touched * tiles[0].Bytes,
                2L * 3 * experts.Length * layout.Columns * (tiles[0].Slice.End - tiles[0].Slice.Start),
                () => executor.Run(tiles, x, experts, gates, sum.Pointer));
        }
        foreach (var tile in tiles)
            tile.Dispose();
    }

    private static Activations RandomRows(ReductionAxis axis, int rows)
    {
        var random = new Random(rows);
        var x = new Activations(axis, ActivationFormat.Int8Blocks);
        x.Resize(rows);
        for (var row = 0; row < rows; row++)
            x.Set(row, [.. Enumerable.Range(0, axis.Length).Select(_ => random.NextSingle() - 0.5f)]);
        return x;
    }
}
