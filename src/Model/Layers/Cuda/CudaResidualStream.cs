using Grok1Cluster.Kernels.Cuda.Attention;
using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Products;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.KvCache;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// A residual stream in device memory. A step's tables and embedding rows go there in one copy. Then a layer is one copy there, one
/// back, and what is between them; steps of few rows are recorded as graphs, one for each layer and size, and launched as one.
/// </summary>
internal sealed unsafe class CudaResidualStream : IResidualStream
{
    private readonly CudaDenseLayers _layers;
    private readonly int _number;
    private readonly AttentionWork _work = new();

    // What a step begins with: tables, and the rows themselves, which stay where they were copied to.
    private readonly StagingBuffer _step;
    private long _placesAt, _tilesAt, _mergesAt, _blocksAt, _residualAt;

    // What a layer exchanges with the host: answers of experts on their way there, and from backAt on what comes back.
    private readonly StagingBuffer _exchange;
    private long _sumAt, _backAt, _activationsAt, _scalesAt, _expertsAt, _gatesAt;

    private AttentionSize _size;
    private int _rows, _layer;
    private bool _begins;
    private int? _adds;

    public CudaResidualStream(CudaDenseLayers layers, IKernelDevice device, int number)
    {
        (_layers, _number) = (layers, number);
        (_step, _exchange) = (new StagingBuffer(device), new StagingBuffer(device));
    }

    public void Begin(TokenBatch batch)
    {
        var attention = _layers.Attention;
        var tileQueries = attention.TileQueries(batch);
        attention.Divide(batch, tileQueries, _work);
        var size = new AttentionSize(batch.Rows, _work.Tiles.Length, _work.Merges.Length, batch.Blocks.Length, tileQueries);
        (_rows, _size) = (batch.Rows, IsSmall(batch.Rows) ? size.RoundedUp() : size);
        (_begins, _adds) = (true, null);
        LayOut();
        Fill(batch);
    }

    public void Forward(int layer, Activations input, Span<int> experts, Span<float> gates)
    {
        if (input.Format != _layers.Router.Format || input.Axis.PaddedLength != _layers.Router.Input.Store.PaddedLength || input.Rows != _rows)
            throw new ArgumentException($"the experts' input is {_rows} rows of {_layers.Router.Format} over {_layers.Router.Input.Store.Length}, not {input.Rows} of {input.Format} over {input.Axis.Length}", nameof(input));
        var step = new LayerStep(_number, layer, _size, _begins, _adds);
        if (IsSmall(_rows))
            _layers.Stream.Run(_layers.Graphs.Find(step) ?? _layers.Graphs.Add(step, Record(step)));
        else
            Enqueue(step);
        _layers.Stream.Synchronize();
        (_layer, _begins, _adds) = (layer, false, null);
        ReadBack(input, experts, gates);
    }

    public void AddExperts(float* sum)
    {
        Buffer.MemoryCopy(sum, (void*)(_exchange.Host + (nint)_sumAt), SumBytes(_rows), SumBytes(_rows));
        _adds = _layer;
    }

    /// <summary>Adds experts' answers that wait for the next layer, behind the last.</summary>
    public void AddPending()
    {
        if (_adds is { } layer)
            EnqueueAdd(layer);
        _adds = null;
    }

    /// <summary>Where a row is on the device, once what is in the stream is done.</summary>
    public nint Address(int row) => Residual + (nint)SumBytes(row);

    public void Dispose()
    {
        _step.Dispose();
        _exchange.Dispose();
    }

    private nint Residual => _step.Device + (nint)_residualAt;

    private static bool IsSmall(int rows) => rows <= DenseKernels.MostStreamed;

    private long SumBytes(int rows) => (long)rows * _layers.Config.EmbeddingDim * sizeof(float);

    /// <summary>Gives everything its place and makes buffers and scratch large enough.</summary>
    private void LayOut()
    {
        var (config, router, rows) = (_layers.Config, _layers.Router, (long)_size.Rows);
        _step.Begin();
        _placesAt = _step.Reserve<RowPlace>(rows);
        _tilesAt = _step.Reserve<AttentionTile>(_size.Tiles);
        _mergesAt = _step.Reserve<AttentionMerge>(_size.Merges);
        _blocksAt = _step.Reserve<nint>(_size.Blocks);
        _residualAt = _step.Reserve<float>(rows * config.EmbeddingDim);
        _exchange.Begin();
        _sumAt = _exchange.Reserve<float>(rows * config.EmbeddingDim);
        _backAt = _exchange.Used;
        _activationsAt = _exchange.Reserve<byte>(rows * router.Input.Stride * ElementBytes);
        _scalesAt = _exchange.Reserve<byte>(router.Format == ActivationFormat.Float32 ? 0 : RowFactors.Bytes(rows, router.Input.Store.BlockCount));
        _expertsAt = _exchange.Reserve<int>(rows * config.ExpertsPerToken);
        _gatesAt = _exchange.Reserve<float>(rows * config.ExpertsPerToken);
        if (_step.Commit() | _exchange.Commit() | _layers.Attention.Resize(_size))
            _layers.Graphs.Forget();
    }

    private int ElementBytes => _layers.Router.Format == ActivationFormat.Float32 ? sizeof(float) : sizeof(sbyte);

    private void Fill(TokenBatch batch)
    {
        var places = _step.At<RowPlace>(_placesAt, _size.Rows);
        places.Clear();
        for (var index = 0; index < batch.Runs.Count; index++)
        {
            var run = batch.Runs[index];
            for (var row = 0; row < run.Rows; row++)
            {
                var position = run.Start + row;
                places[run.FirstRow + row] = new RowPlace { Block = batch.Blocks[run.FirstBlock + position / KvBlockLayout.Tokens], Position = position };
            }
        }
        CopyCleared(_work.Tiles, _step.At<AttentionTile>(_tilesAt, _size.Tiles));
        CopyCleared(_work.Merges, _step.At<AttentionMerge>(_mergesAt, _size.Merges));
        batch.Blocks.CopyTo(_step.At<nint>(_blocksAt, _size.Blocks));
        for (var row = 0; row < batch.Rows; row++)
        {
            var source = _layers.Weights.EmbeddingRow(batch.Tokens[row]);
            var target = _step.At<float>(_residualAt + SumBytes(row), source.Length);
            for (var i = 0; i < target.Length; i++)
                target[i] = source[i] * _layers.Config.EmbeddingMultiplier;
        }
    }

    /// <summary>Fills a table up with entries that have no queries.</summary>
    private static void CopyCleared<T>(ReadOnlySpan<T> entries, Span<T> table)
    {
        entries.CopyTo(table);
        table[entries.Length..].Clear();
    }

    /// <summary>Apart from <see cref="Forward"/>, which allocates nothing.</summary>
    private IKernelGraph Record(LayerStep step) => _layers.Stream.Capture(() => Enqueue(step));

    private void Enqueue(LayerStep step)
    {
        var stream = _layers.Stream;
        if (step.Begins)
            stream.CopyToDevice(_step.Device, _step.Host, _step.Used);
        if (step.Adds is { } layer)
            EnqueueAdd(layer);
        var start = _step.Device;
        _layers.Attention.Enqueue(
            stream, step.Layer, step.Size, new AttentionTables(start + (nint)_placesAt, start + (nint)_tilesAt, start + (nint)_mergesAt, start + (nint)_blocksAt), Residual);
        var back = _exchange.Device;
        _layers.Router.Route(
            stream, step.Layer, Residual, step.Size.Rows, new RoutedRows(back + (nint)_activationsAt, back + (nint)_scalesAt, back + (nint)_expertsAt, back + (nint)_gatesAt));
        stream.CopyToHost(_exchange.Host + (nint)_backAt, back + (nint)_backAt, _exchange.Used - _backAt);
    }

    private void EnqueueAdd(int layer)
    {
        var sum = _exchange.Device + (nint)_sumAt;
        _layers.Stream.CopyToDevice(sum, _exchange.Host + (nint)_sumAt, SumBytes(_size.Rows));
        _layers.Router.AddExperts(_layers.Stream, layer, sum, Residual, _size.Rows);
    }

    /// <summary>Takes over what came back; the device pads every activation block to tiles, the store's axis to less.</summary>
    private void ReadBack(Activations input, Span<int> experts, Span<float> gates)
    {
        var axis = _layers.Router.Input;
        var source = (byte*)(_exchange.Host + (nint)_activationsAt);
        var target = input.Format == ActivationFormat.Float32 ? (byte*)input.Floats : (byte*)input.Values;
        if (axis.Stride == axis.Store.PaddedLength)
            Copy(source, target, (long)_rows * axis.Stride * ElementBytes);
        else
            for (var row = 0; row < _rows; row++)
                for (var b = 0; b < axis.Store.BlockCount; b++)
                    Copy(
                        source + ((long)row * axis.Stride + axis.FirstElement(b)) * ElementBytes,
                        target + ((long)row * axis.Store.PaddedLength + axis.Store.Blocks[b].PaddedStart) * ElementBytes,
                        (long)axis.Store.Blocks[b].PaddedLength * ElementBytes);
        if (input.Format == ActivationFormat.Int8Blocks)
        {
            for (var row = 0; row < _rows; row++)
                input.Complete(row);
            RowFactors.Read((float*)(_exchange.Host + (nint)_scalesAt), input);
        }
        var count = _rows * _layers.Config.ExpertsPerToken;
        _exchange.At<int>(_expertsAt, count).CopyTo(experts);
        _exchange.At<float>(_gatesAt, count).CopyTo(gates);

        static void Copy(byte* from, byte* to, long bytes) => Buffer.MemoryCopy(from, to, bytes, bytes);
    }
}
