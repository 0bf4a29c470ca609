using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Layers;

/// <summary>
/// A store imported from a small checkpoint, whose real scales differ by group and column, beside the checkpoint itself:
/// FeedForwardDim 176 in 8 weight groups, so groups of 22 rows are cut by expert blocks of 32, and the last block has 16.
/// </summary>
internal sealed unsafe class ExpertFixture : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-experts-");
    private readonly Ckpt0Checkpoint _checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, "tiny-a"));
    private readonly Dictionary<ExpertSlice, ExpertTile> _tiles = [];
    private readonly Dictionary<(TensorRole, int), double[,]> _dense = [];

    public ExpertFixture(WeightFormat weights)
    {
        var path = Path.Combine(_folder.FullName, "store");
        StoreBuilder.Import(_checkpoint, path, new StoreBuildOptions { Weights = weights, Threads = 2 }, null, CancellationToken.None);
        Store = ModelStore.Open(path);
    }

    public ModelStore Store { get; }

    public int EmbeddingDim => Store.Config.EmbeddingDim;

    public int FeedForwardDim => Store.Config.FeedForwardDim;

    /// <summary>A slice of an expert of layer 0.</summary>
    public ExpertTile Tile(int expert, int start = 0, int? end = null)
    {
        var slice = new ExpertSlice(0, expert, start, end ?? FeedForwardDim);
        if (!_tiles.TryGetValue(slice, out var tile))
            _tiles[slice] = tile = Store.OpenTile(slice);
        return tile;
    }

    /// <summary>Rows of activations like a norm's output.</summary>
    public Activations Rows(float[][] rows, ActivationFormat format)
    {
        var x = new Activations(Store.ExpertLayout.InputAxis, format);
        x.Resize(rows.Length);
        for (var row = 0; row < rows.Length; row++)
            x.Set(row, rows[row]);
        return x;
    }

    /// <summary>Random rows, the same for the same seed.</summary>
    public float[][] RandomRows(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => Enumerable.Range(0, EmbeddingDim).Select(_ => (float)(4 * random.NextDouble() - 2)).ToArray())];
    }

    /// <summary><c>(gelu_tanh(x Wgate) * (x Wup)) Wdown</c> over hidden columns [start, end), from the checkpoint, in double precision.</summary>
    public double[] Reference(int expert, float[] x, int start, int end)
    {
        var (gate, up, down) = (Dense(TensorRole.ExpertGate, expert), Dense(TensorRole.ExpertUp, expert), Dense(TensorRole.ExpertDown, expert));
        var y = new double[EmbeddingDim];
        for (var h = start; h < end; h++)
        {
            double g = 0, u = 0;
            for (var k = 0; k < x.Length; k++)
            {
                g += x[k] * gate[k, h];
                u += x[k] * up[k, h];
            }
            var hidden = 0.5 * g * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (g + 0.044715 * g * g * g))) * u;
            for (var column = 0; column < y.Length; column++)
                y[column] += hidden * down[h, column];
        }
        return y;
    }

    public void Dispose()
    {
        foreach (var tile in _tiles.Values)
            tile.Dispose();
        Store.Dispose();
        _checkpoint.Dispose();
        _folder.Delete(recursive: true);
    }

    private double[,] Dense(TensorRole role, int expert)
    {
        if (_dense.TryGetValue((role, expert), out var known))
            return known;
        using var tensor = _checkpoint.Open(role, 0);
        var (rows, columns) = ((int)tensor.Shape[^2], (int)tensor.Shape[^1]);
        var dense = _dense[(role, expert)] = new double[rows, columns];
        for (var k = 0; k < rows; k++)
            for (var n = 0; n < columns; n++)
            {
                var at = ((long)expert * rows + k) * columns + n;
                var scaleAt = ((long)expert * tensor.ScaleGroups + k / (rows / Math.Max(1, tensor.ScaleGroups))) * columns + n;
                dense[k, n] = tensor.Format == SourceFormat.Float32
                    ? ((float*)tensor.Values)[at]
                    : ((sbyte*)tensor.Values)[at] * (double)BitConverter.UInt32BitsToSingle((uint)tensor.Scales[scaleAt] << 16);
            }
        return dense;
    }
}
