using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// <c>Y = X W</c> for one or several matrices that share X, spread over a compute pool by panels of output columns. One
/// object is one reusable job: it allocates only when the number of rows grows. Not for concurrent use.
/// </summary>
public sealed unsafe class MatrixProduct : IComputeJob, IDisposable
{
    private const int MaxMatrices = 4;

    /// <summary>Some 3 MB of Grok-1's matrices: a garbage collection waits for kernels.</summary>
    private const int MaxPanelsPerPart = 16;

    private readonly PackedMatrix[] _matrices = new PackedMatrix[MaxMatrices];
    private readonly nint[] _results = new nint[MaxMatrices];
    private readonly int[] _firstPart = new int[MaxMatrices + 1];
    private NativeBuffer<int> _rows = new(64);
    private readonly DelegateJob _packJob;
    private readonly RowTiles _tiles = new();
    private Activations _x = null!;
    private int _count;
    private int _panelsPerPart;

    public MatrixProduct()
    {
        _packJob = new DelegateJob(Pack);
        FillRows();
    }

    /// <summary>Names a matrix and where its result goes, for the next <see cref="Run"/>.</summary>
    /// <param name="matrix">[K, N].</param>
    /// <param name="y">[rows, PaddedColumns(N)] float32, overwritten.</param>
    public void Add(PackedMatrix matrix, float* y)
    {
        _matrices[_count] = matrix;
        _results[_count++] = (nint)y;
    }

    /// <summary>Computes every matrix added since the last run.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(ComputePool pool, Activations activations)
    {
        _x = activations;
        if (_x.Rows > _rows.Length)
        {
            _rows.Dispose();
            _rows = new NativeBuffer<int>(Math.Max(_x.Rows, 2 * _rows.Length));
            FillRows();
        }
        PrepareTiles(pool);
        var panels = 0;
        for (var m = 0; m < _count; m++)
            panels += _matrices[m].PanelCount;
        // Enough parts that threads end together, few enough that taking one costs nothing.
        _panelsPerPart = Math.Clamp(panels / (pool.Threads * 8), 1, MaxPanelsPerPart);
        for (var m = 0; m < _count; m++)
            _firstPart[m + 1] = _firstPart[m] + (_matrices[m].PanelCount + _panelsPerPart - 1) / _panelsPerPart;
        pool.Run(this, _firstPart[_count]);
        _count = 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void IComputeJob.Execute(int part)
    {
        var m = 0;
        while (part >= _firstPart[m + 1])
            m++;
        var matrix = _matrices[m];
        var stride = PanelLayout.PaddedColumns(matrix.Columns);
        var first = (part - _firstPart[m]) * _panelsPerPart;
        var end = Math.Min(first + _panelsPerPart, matrix.PanelCount);
        var y = (float*)_results[m] + first * PanelLayout.Columns;
        for (var row = 0; row < _x.Rows; row++)
            new Span<float>(y + (long)row * stride, (end - first) * PanelLayout.Columns).Clear();
        var panel = matrix.Panel(first);
        if (_tiles.Count > 0)
            PanelProduct.AccumulateTiles(new ReadOnlySpan<PanelOperands>(in panel), end - first, _tiles, y, stride, PanelLayout.Columns);
        else
            PanelProduct.AccumulateStrip(matrix.Format, panel, end - first, _x, _rows.Pointer, _x.Rows, y, stride, PanelLayout.Columns);
        PanelProduct.AddOutliers(matrix.Format, panel, end - first, _x, _rows.Pointer, _x.Rows, y, stride, PanelLayout.Columns);
    }

    public void Dispose()
    {
        _rows.Dispose();
        _tiles.Dispose();
    }

    /// <summary>Deals the rows into tiles where all matrices are multiplied so.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PrepareTiles(ComputePool pool)
    {
        var isFor = true;
        for (var m = 0; m < _count; m++)
            isFor &= RowTiles.AreFor(_x.Axis, _matrices[m].Format, _x.Format, _x.Rows);
        _tiles.Resize(isFor ? _x.Rows : 0, _x.Axis);
        if (isFor)
            pool.Run(_packJob, _tiles.Tiles);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Pack(int tile) => _tiles.Pack(_x, _rows.Pointer, tile, 0, _x.Axis.BlockCount);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FillRows()
    {
        for (var i = 0; i < _rows.Length; i++)
            _rows.Pointer[i] = i;
    }
}
