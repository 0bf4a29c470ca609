using System.Numerics;
using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Ops;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>
/// Experts on the CPU, in two passes over the pool. First every expert block: gate and up panels, gelu, product, and the
/// hidden activations quantised where they arise. Then every range of output columns: down over the blocks in ascending
/// order, gated into the sum. A thread owns its columns, so nothing is added across threads and no order can vary. Many rows are dealt
/// into tiles where the machine multiplies such.
/// </summary>
public sealed unsafe class CpuExpertFeedForward : IExpertFeedForward
{
    /// <summary>Rows up to which reading the weights is all that counts.</summary>
    private const int FewRows = 8;

    /// <summary>Panels of down that a part of many rows takes from each block: its results stay in L1.</summary>
    private const int DownPanelsOfManyRows = 16;

    /// <summary>Blocks whose products of down are asked for at a time.</summary>
    private const int DownRuns = 8;

    private readonly ComputePool _pool;
    private readonly ExpertLayout _layout;
    private readonly ActivationFormat _format;
    private readonly DelegateJob _packJob;
    private readonly DelegateJob _inputJob;
    private readonly DelegateJob _downJob;
    private readonly List<Activations> _hidden = [];
    private readonly List<RowTiles> _inputTiles = [];
    private readonly List<RowTiles> _hiddenTiles = [];
    private TileWork[] _work = new TileWork[8];
    private int[] _firstPart = new int[9];
    private NativeBuffer<int> _identity = new(0);
    private int _workCount;
    private Activations _x = null!;
    private int* _rows;
    private float* _gates;
    private float* _sum;
    private int _mostRows;
    private int _tileCount;
    private int _panelsPerPart;

    /// <param name="pool">Where the work runs.</param>
    /// <param name="layout">The experts' layout.</param>
    /// <param name="format">Activations of the input and of the hidden layer.</param>
    public CpuExpertFeedForward(ComputePool pool, ExpertLayout layout, ActivationFormat format)
    {
        (_pool, _layout, _format) = (pool, layout, format);
        _packJob = new DelegateJob(PackInput);
        _inputJob = new DelegateJob(ComputeHidden);
        _downJob = new DelegateJob(ComputeDown);
    }

    public void Accumulate(ReadOnlySpan<TileWork> work, Activations x, ReadOnlySpan<int> rows, ReadOnlySpan<float> gates, float* sum)
    {
        if (x.Format != _format || x.Axis.PaddedLength != _layout.InputAxis.PaddedLength)
            throw new ArgumentException($"activations are {x.Format} of {x.Axis.Length}, these experts take {_format} of {_layout.InputAxis.Length}", nameof(x));
        Prepare(work, x, rows, gates);
        fixed (int* r = rows)
        fixed (float* g = gates)
        {
            _x = x;
            _rows = r;
            _gates = g;
            _sum = sum;
            if (_tileCount > 0)
                _pool.Run(_packJob, _tileCount);
            _pool.Run(_inputJob, _firstPart[_workCount]);
            var panels = PanelLayout.PanelCount(_layout.Columns);
            _panelsPerPart = DownPanelsPerPart(panels);
            _pool.Run(_downJob, (panels + _panelsPerPart - 1) / _panelsPerPart);
        }
        Array.Clear(_work, 0, _workCount);
    }

    public void Dispose()
    {
        foreach (var hidden in _hidden)
            hidden.Dispose();
        foreach (var tiles in _inputTiles)
            tiles.Dispose();
        foreach (var tiles in _hiddenTiles)
            tiles.Dispose();
        _identity.Dispose();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Prepare(ReadOnlySpan<TileWork> work, Activations x, ReadOnlySpan<int> rows, ReadOnlySpan<float> gates)
    {
        if (work.Length > _work.Length)
        {
            _work = new TileWork[work.Length * 2];
            _firstPart = new int[work.Length * 2 + 1];
        }
        foreach (var row in rows)
            if ((uint)row >= (uint)x.Rows)
                throw new ArgumentException($"a pair names row {row} of {x.Rows}", nameof(rows));
        work.CopyTo(_work);
        _workCount = work.Length;
        (_mostRows, _tileCount) = (0, 0);
        for (var i = 0; i < work.Length; i++)
        {
            if (work[i].First < 0 || work[i].Count < 1 || work[i].First > Math.Min(rows.Length, gates.Length) - work[i].Count)
                throw new ArgumentException($"work item {i} takes pairs {work[i].First} and {work[i].Count} more of {rows.Length}", nameof(work));
            if (_hidden.Count == i)
            {
                _hidden.Add(new Activations(_layout.HiddenAxis, _format));
                _inputTiles.Add(new RowTiles());
                _hiddenTiles.Add(new RowTiles());
            }
            _hidden[i].Resize(work[i].Count);
            _inputTiles[i].Resize(RowTiles.AreFor(_layout.InputAxis, _layout.Format, _format, work[i].Count) ? work[i].Count : 0, _layout.InputAxis);
            _hiddenTiles[i].Resize(RowTiles.AreFor(_layout.HiddenAxis, _layout.Format, _format, work[i].Count) ? work[i].Count : 0, _layout.HiddenAxis);
            _tileCount += _inputTiles[i].Tiles;
            _firstPart[i + 1] = _firstPart[i] + work[i].Tile.EndBlock - work[i].Tile.FirstBlock;
            _mostRows = Math.Max(_mostRows, work[i].Count);
        }
        if (_mostRows > _identity.Length)
        {
            _identity.Dispose();
            _identity = new NativeBuffer<int>(2 * _mostRows);
            for (var i = 0; i < _identity.Length; i++)
                _identity.Pointer[i] = i;
        }
    }

    /// <summary>
    /// A part reads its panels of one block after the other. With few rows it has as many panels as there can be for each
    /// thread, since after every jump to the next block the memory takes a while to reach its speed again; many rows have more parts
    /// than threads, which evens out.
    /// </summary>
    private int DownPanelsPerPart(int panels) => _mostRows <= FewRows
        ? (panels + _pool.Threads - 1) / _pool.Threads
        : Math.Clamp(panels / (_pool.Threads * 4), 1, DownPanelsOfManyRows);

    /// <summary>An expert's rows lie anywhere among the call's: each tile is brought together once for all panels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PackInput(int tile)
    {
        var item = 0;
        while (tile >= _inputTiles[item].Tiles)
            tile -= _inputTiles[item++].Tiles;
        _inputTiles[item].Pack(_x, _rows + _work[item].First, tile, 0, _layout.InputAxis.BlockCount);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ComputeHidden(int part)
    {
        var item = 0;
        while (part >= _firstPart[item + 1])
            item++;
        var (tile, first, count) = _work[item];
        var index = tile.FirstBlock + part - _firstPart[item];
        var block = _layout.Blocks[index];
        var width = block.Panels * PanelLayout.Columns;
        var panelFloats = count * PanelLayout.Columns;
        // Few rows take all panels of gate and up in one go; of many, two at a time have their results in the cache.
        var together = count <= FewRows ? block.Panels : 1;
        var input = ThreadScratch.Floats((long)count * (2 * together * PanelLayout.Columns + width));
        var hidden = input + 2L * together * panelFloats;
        for (var panel = 0; panel < block.Panels; panel++)
        {
            var gate = input + 2L * (panel % together) * panelFloats;
            var up = gate + panelFloats;
            if (gate == input)
            {
                new Span<float>(input, checked(2 * together * panelFloats)).Clear();
                var weights = tile.InputPanel(index, 2 * panel);
                if (_inputTiles[item].Count > 0)
                    PanelProduct.AccumulateTiles(new ReadOnlySpan<PanelOperands>(in weights), 2 * together, _inputTiles[item], input, PanelLayout.Columns, panelFloats);
                else
                    PanelProduct.AccumulateStrip(_layout.Format, weights, 2 * together, _x, _rows + first, count, input, PanelLayout.Columns, panelFloats);
                PanelProduct.AddOutliers(_layout.Format, weights, 2 * together, _x, _rows + first, count, input, PanelLayout.Columns, panelFloats);
            }
            for (var row = 0; row < count; row++)
                GeluTanh.Gate(
                    new ReadOnlySpan<float>(gate + row * PanelLayout.Columns, PanelLayout.Columns), new ReadOnlySpan<float>(up + row * PanelLayout.Columns, PanelLayout.Columns),
                    new Span<float>(hidden + (long)row * width + panel * PanelLayout.Columns, PanelLayout.Columns));
        }
        for (var row = 0; row < count; row++)
            _hidden[item].SetBlocks(row, block.FirstActivationBlock, block.EndActivationBlock, hidden + (long)row * width);
        for (var rows = 0; rows < _hiddenTiles[item].Tiles; rows++)
            _hiddenTiles[item].Pack(_hidden[item], _identity.Pointer, rows, block.FirstActivationBlock, block.EndActivationBlock);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ComputeDown(int part)
    {
        var firstPanel = part * _panelsPerPart;
        var panels = Math.Min(_panelsPerPart, PanelLayout.PanelCount(_layout.Columns) - firstPanel);
        var runs = stackalloc PanelOperands[DownRuns];
        for (var item = 0; item < _workCount; item++)
        {
            var (tile, first, count) = _work[item];
            var panelFloats = count * PanelLayout.Columns;
            var y = ThreadScratch.Floats((long)panels * panelFloats);
            new Span<float>(y, checked(panels * panelFloats)).Clear();
            for (var block = tile.FirstBlock; block < tile.EndBlock;)
            {
                var known = 0;
                while (known < DownRuns && block < tile.EndBlock)
                    runs[known++] = tile.DownPanel(block++, firstPanel);
                if (_hiddenTiles[item].Count > 0)
                    PanelProduct.AccumulateTiles(new ReadOnlySpan<PanelOperands>(runs, known), panels, _hiddenTiles[item], y, PanelLayout.Columns, panelFloats);
                else
                    PanelProduct.AccumulateRuns(
                        _layout.Format, new ReadOnlySpan<PanelOperands>(runs, known), panels, _hidden[item], _identity.Pointer, count,
                        y, PanelLayout.Columns, panelFloats);
            }
            AddOutliers(tile, _hidden[item], count, firstPanel, panels, y, panelFloats);
            for (var panel = 0; panel < panels; panel++)
            {
                var column = (firstPanel + panel) * PanelLayout.Columns;
                var columns = Math.Min(PanelLayout.Columns, _layout.Columns - column);
                for (var row = 0; row < count; row++)
                    AddGated(_gates[first + row], y + (long)panel * panelFloats + row * PanelLayout.Columns, _sum + (long)_rows[first + row] * _layout.Columns + column, columns);
            }
        }
    }

    /// <summary>After all blocks of a tile, row by row: rows without outliers cost one look.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddOutliers(ExpertTile tile, Activations hidden, int count, int firstPanel, int panels, float* y, long panelStride)
    {
        if (hidden.Format != ActivationFormat.Int8Blocks)
            return;
        var end = _layout.Blocks[tile.EndBlock - 1].EndActivationBlock;
        for (var row = 0; row < count; row++)
        {
            var next = hidden.NextOutliers(row, _layout.Blocks[tile.FirstBlock].FirstActivationBlock, end);
            for (var block = tile.FirstBlock; next < end; block++)
            {
                var endOfBlock = _layout.Blocks[block].EndActivationBlock;
                if (next >= endOfBlock)
                    continue;
                PanelProduct.AddOutliers(
                    _layout.Format, tile.DownPanel(block, firstPanel), panels, hidden, _identity.Pointer + row, 1, y + row * PanelLayout.Columns, PanelLayout.Columns, panelStride);
                next = hidden.NextOutliers(row, endOfBlock, end);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddGated(float gate, float* y, float* sum, int columns)
    {
        var gates = new Vector<float>(gate);
        var i = 0;
        for (; i + Vector<float>.Count <= columns; i += Vector<float>.Count)
            Vector.FusedMultiplyAdd(gates, Vector.Load(y + i), Vector.Load(sum + i)).Store(sum + i);
        for (; i < columns; i++)
            sum[i] = MathF.FusedMultiplyAdd(gate, y[i], sum[i]);
    }
}
