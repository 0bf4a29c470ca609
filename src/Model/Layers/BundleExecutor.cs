using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>
/// Computes one bundle for the tokens of a call: finds which tokens each tile serves and adds the gated results in tile
/// order, (expert, slice) ascending. Worker and coordinator (when there is no worker) share it. Not for concurrent use.
/// </summary>
public sealed unsafe class BundleExecutor(IExpertFeedForward feedForward)
{
    private int[] _rows = new int[64];
    private float[] _gates = new float[64];
    private TileWork[] _items = new TileWork[16];

    /// <summary>Adds the bundle's result to <paramref name="sum"/>.</summary>
    /// <param name="tiles">In the order of the sum.</param>
    /// <param name="x">Rows of activations.</param>
    /// <param name="experts">[x.Rows, k]: the experts of each token.</param>
    /// <param name="gates">[x.Rows, k]: their gates.</param>
    /// <param name="sum">[x.Rows, EmbeddingDim] float32.</param>
    /// <exception cref="ArgumentException">Experts and gates are not k for each row.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(IReadOnlyList<ExpertTile> tiles, Activations x, ReadOnlySpan<int> experts, ReadOnlySpan<float> gates, float* sum)
    {
        if (experts.Length != gates.Length || (x.Rows == 0 ? experts.Length != 0 : experts.Length % x.Rows != 0))
            throw new ArgumentException($"{experts.Length} experts and {gates.Length} gates do not fit {x.Rows} rows", nameof(experts));
        var perToken = x.Rows == 0 ? 0 : experts.Length / x.Rows;
        var (items, pairs) = (0, 0);
        if (_items.Length < tiles.Count)
            _items = new TileWork[tiles.Count];
        for (var t = 0; t < tiles.Count; t++)
        {
            var first = pairs;
            for (var i = 0; i < experts.Length; i++)
                if (experts[i] == tiles[t].Slice.Expert)
                    Add(ref pairs, i / perToken, gates[i]);
            if (pairs > first)
                _items[items++] = new TileWork(tiles[t], first, pairs - first);
        }
        if (items > 0)
            feedForward.Accumulate(_items.AsSpan(0, items), x, _rows.AsSpan(0, pairs), _gates.AsSpan(0, pairs), sum);
    }

    private void Add(ref int pairs, int row, float gate)
    {
        if (pairs == _rows.Length)
        {
            Array.Resize(ref _rows, 2 * pairs);
            Array.Resize(ref _gates, 2 * pairs);
        }
        (_rows[pairs], _gates[pairs]) = (row, gate);
        pairs++;
    }
}
