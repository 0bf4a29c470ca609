using System.Diagnostics;
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
    /// <summary>How long the parts take that work which may be interrupted is cut into.</summary>
    private static readonly TimeSpan Quantum = TimeSpan.FromMilliseconds(10);

    /// <summary>Rows from which a tile's time goes up with its rows; below, it is the time of reading its weights.</summary>
    private const double FreeRows = 6;

    /// <summary>Fewer rows than these are not worth reading a tile's weights for.</summary>
    private const int LeastRows = 16;

    private const double Smoothing = 0.2;

    private int[] _rows = new int[64];
    private float[] _gates = new float[64];
    private TileWork[] _items = new TileWork[16];
    private int _count;
    private double _secondsPerCost;

    /// <summary>Adds the bundle's result to <paramref name="sum"/>.</summary>
    /// <param name="tiles">In the order of the sum.</param>
    /// <param name="x">Rows of activations.</param>
    /// <param name="experts">[x.Rows, k]: the experts of each token.</param>
    /// <param name="gates">[x.Rows, k]: their gates.</param>
    /// <param name="sum">[x.Rows, EmbeddingDim] float32.</param>
    /// <param name="between">Called between parts of about 10 ms, in which nothing of this work runs; null computes everything at once.</param>
    /// <exception cref="ArgumentException">Experts and gates are not k for each row.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(IReadOnlyList<ExpertTile> tiles, Activations x, ReadOnlySpan<int> experts, ReadOnlySpan<float> gates, float* sum, Action? between = null)
    {
        if (experts.Length != gates.Length || (x.Rows == 0 ? experts.Length != 0 : experts.Length % x.Rows != 0))
            throw new ArgumentException($"{experts.Length} experts and {gates.Length} gates do not fit {x.Rows} rows", nameof(experts));
        var perToken = x.Rows == 0 ? 0 : experts.Length / x.Rows;
        var rowsAtOnce = between is null ? int.MaxValue : RowsOf(tiles);
        (_count, var pairs) = (0, 0);
        for (var t = 0; t < tiles.Count; t++)
        {
            var first = pairs;
            for (var i = 0; i < experts.Length; i++)
                if (experts[i] == tiles[t].Slice.Expert)
                    Add(ref pairs, i / perToken, gates[i]);
            for (; first < pairs; first += Math.Min(rowsAtOnce, pairs - first))
                Add(new TileWork(tiles[t], first, Math.Min(rowsAtOnce, pairs - first)));
        }
        if (between is not null)
            RunInQuanta(x, pairs, sum, between);
        else if (_count > 0)
            feedForward.Accumulate(_items.AsSpan(0, _count), x, _rows.AsSpan(0, pairs), _gates.AsSpan(0, pairs), sum);
        Array.Clear(_items, 0, _count);
    }

    /// <summary>Items one after the other, as many at a time as fit into a quantum by what they took so far.</summary>
    private void RunInQuanta(Activations x, int pairs, float* sum, Action between)
    {
        for (var first = 0; first < _count;)
        {
            var (end, cost) = (first + 1, Cost(_items[first]));
            while (end < _count && (cost + Cost(_items[end])) * _secondsPerCost <= Quantum.TotalSeconds)
                cost += Cost(_items[end++]);
            var start = Stopwatch.GetTimestamp();
            feedForward.Accumulate(_items.AsSpan(first, end - first), x, _rows.AsSpan(0, pairs), _gates.AsSpan(0, pairs), sum);
            var perCost = Stopwatch.GetElapsedTime(start).TotalSeconds / cost;
            _secondsPerCost += (perCost - _secondsPerCost) * (_secondsPerCost == 0 ? 1 : Smoothing);
            first = end;
            if (first < _count)
                between();
        }
    }

    /// <summary>Rows of a tile that fit into a quantum.</summary>
    private int RowsOf(IReadOnlyList<ExpertTile> tiles)
    {
        var bytes = tiles.Count == 0 ? 0 : tiles[0].Bytes;
        return _secondsPerCost == 0 || bytes == 0 ? LeastRows : (int)Math.Clamp(Quantum.TotalSeconds / (_secondsPerCost * bytes) * FreeRows, LeastRows, int.MaxValue);
    }

    private static double Cost(TileWork item) => item.Tile.Bytes * Math.Max(1, item.Count / FreeRows);

    private void Add(TileWork item)
    {
        if (_count == _items.Length)
            Array.Resize(ref _items, 2 * _count);
        _items[_count++] = item;
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
