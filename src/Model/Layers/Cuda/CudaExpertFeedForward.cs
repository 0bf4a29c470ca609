using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Cuda.Products;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// Experts on a GPU. Tiles that live in its memory are computed there; of the others, those that few tokens need are computed
/// by the CPU from the host's memory, and those that many need are copied through the device's two places, if they fit there. Items keep their
/// order in the sum wherever they are computed. Small calls are recorded as graphs, one for each size, and launched as one.
/// </summary>
public sealed unsafe class CudaExpertFeedForward : IExpertFeedForward
{
    /// <summary>Pairs up to which a tile that is not on the device is computed on the CPU: reading it there takes less time than copying it.</summary>
    public const int MostOnCpu = 16;

    private const int MostGraphs = 256;

    private readonly CudaExpertWeights _weights;
    private readonly IExpertFeedForward _cpu;
    private readonly ExpertLayout _layout;
    private readonly ActivationFormat _format;
    private readonly IKernelStream _stream;
    private readonly IKernelEvent[] _copied;
    private readonly IKernelEvent[] _free;
    private readonly bool[] _placeUsed;
    private readonly IKernelEvent _begin, _end;
    private readonly StagingBuffer _staging;
    private readonly DeviceScratch _hidden, _hiddenValues, _hiddenScales, _y;
    private readonly RecordedGraphs<PassSize> _graphs = new(MostGraphs);
    private readonly List<ExpertPass> _passes = [];
    private int _passCount;
    private readonly RowPairs _rowPairs = new();

    /// <param name="weights">What the device holds.</param>
    /// <param name="cpu">Computes what it does not; owned by this object.</param>
    /// <param name="format">Activations of the input and of the hidden layer.</param>
    public CudaExpertFeedForward(CudaExpertWeights weights, IExpertFeedForward cpu, ActivationFormat format)
    {
        (_weights, _cpu, _format, _layout) = (weights, cpu, format, weights.Layout.Store);
        var device = weights.Device;
        _stream = device.CreateStream();
        (_copied, _free, _placeUsed) = (Events(device, CudaExpertWeights.MostPlaces), Events(device, CudaExpertWeights.MostPlaces), new bool[CudaExpertWeights.MostPlaces]);
        (_begin, _end) = (device.CreateEvent(), device.CreateEvent());
        _staging = new StagingBuffer(device);
        (_hidden, _hiddenValues, _hiddenScales, _y) = (new DeviceScratch(device), new DeviceScratch(device), new DeviceScratch(device), new DeviceScratch(device));
    }

    /// <summary>What the kernels of the last call took, its copies left out; null where that call was a graph, in which nothing is measured.</summary>
    public TimeSpan? KernelTime { get; private set; }

    public void Accumulate(ReadOnlySpan<TileWork> work, Activations x, ReadOnlySpan<int> rows, ReadOnlySpan<float> gates, float* sum)
    {
        if (x.Format != _format || x.Axis.PaddedLength != _layout.InputAxis.PaddedLength)
            throw new ArgumentException($"activations are {x.Format} of {x.Axis.Length}, these experts take {_format} of {_layout.InputAxis.Length}", nameof(x));
        Check(work, x, rows, gates);
        for (var first = 0; first < work.Length;)
        {
            var onCpu = IsForCpu(work[first]);
            var end = first + 1;
            while (end < work.Length && IsForCpu(work[end]) == onCpu)
                end++;
            if (onCpu)
                _cpu.Accumulate(work[first..end], x, rows, gates, sum);
            else
                RunOnDevice(work[first..end], x, rows, gates, sum);
            first = end;
        }
    }

    public void Dispose()
    {
        _stream.Synchronize();
        _graphs.Forget();
        foreach (var owned in _copied.Concat(_free).Cast<IDisposable>().Concat([_begin, _end, _staging, _hidden, _hiddenValues, _hiddenScales, _y, _stream, _cpu]))
            owned.Dispose();
    }

    private static IKernelEvent[] Events(IKernelDevice device, int count) => [.. Enumerable.Range(0, count).Select(_ => device.CreateEvent())];

    private static void Check(ReadOnlySpan<TileWork> work, Activations x, ReadOnlySpan<int> rows, ReadOnlySpan<float> gates)
    {
        foreach (var row in rows)
            if ((uint)row >= (uint)x.Rows)
                throw new ArgumentException($"a pair names row {row} of {x.Rows}", nameof(rows));
        foreach (var item in work)
            if (item.First < 0 || item.Count < 1 || item.First > Math.Min(rows.Length, gates.Length) - item.Count)
                throw new ArgumentException($"a work item takes pairs {item.First} and {item.Count} more of {rows.Length}", nameof(work));
    }

    private bool IsForCpu(TileWork work) => (work.Count <= MostOnCpu || !_weights.CanPass(work.Tile)) && _weights.Find(work.Tile) is null;

    private void RunOnDevice(ReadOnlySpan<TileWork> work, Activations x, ReadOnlySpan<int> rows, ReadOnlySpan<float> gates, float* sum)
    {
        Divide(work);
        var call = LayOut(x.Rows);
        Fill(call, work, x, rows, gates, sum);
        if (call.IsSmall)
            RunAsGraph(call);
        else
            Enqueue(call);
        _stream.Synchronize();
        KernelTime = call.IsSmall ? null : _end.Since(_begin);
        Buffer.MemoryCopy((void*)(_staging.Host + (nint)call.SumAt), sum, SumBytes(x.Rows), SumBytes(x.Rows));
    }

    /// <summary>Cuts the items into passes.</summary>
    private void Divide(ReadOnlySpan<TileWork> work)
    {
        _passCount = 0;
        var pairs = 0;
        foreach (var item in work)
        {
            var origin = _weights.Find(item.Tile);
            for (var done = 0; done < item.Count;)
            {
                var last = _passCount == 0 ? null : _passes[_passCount - 1];
                var room = last is null || last.Transient != (origin is null ? item.Tile : null) ? 0 : ExpertPass.MostPairs - last.Pairs;
                if (room == 0)
                {
                    if (_passes.Count == _passCount)
                        _passes.Add(new ExpertPass());
                    last = _passes[_passCount++];
                    last.Begin(pairs, origin is null ? item.Tile : null);
                    room = ExpertPass.MostPairs;
                }
                var count = Math.Min(room, item.Count - done);
                last!.Add(new TileWork(item.Tile, item.First + done, count), origin ?? 0, _layout);
                (done, pairs) = (done + count, pairs + count);
            }
        }
    }

    /// <summary>Gives everything its place in the staging buffer and makes the scratch large enough.</summary>
    private CallLayout LayOut(int rows)
    {
        var only = _passCount == 1 ? _passes[0] : null;
        var isSmall = only is { Transient: null } && rows <= ExpertKernels.MostStreamed && only.MostItemPairs <= ExpertKernels.MostStreamed;
        var pairs = 0;
        var call = new CallLayout { Rows = rows, RowRoom = isSmall ? Bucket(rows) : rows, IsSmall = isSmall };
        _staging.Begin();
        for (var i = 0; i < _passCount; i++)
        {
            var pass = _passes[i];
            pairs += pass.Pairs;
            call.MostPairs = Math.Max(call.MostPairs, isSmall ? Bucket(pass.Pairs) : pass.Pairs);
            pass.ItemsAt = _staging.Reserve<ExpertItem>(isSmall ? Bucket(pass.ItemCount) : pass.ItemCount);
            var pairRoom = isSmall ? Bucket(pass.Pairs) : pass.Pairs;
            pass.TouchedRowsAt = _staging.Reserve<int>(pairRoom);
            pass.RowStartsAt = _staging.Reserve<int>(pairRoom + 1);
            pass.RowPairsAt = _staging.Reserve<int>(pairRoom);
        }
        var shape = _weights.Layout.Shape;
        var room = isSmall ? Bucket(pairs) : pairs;
        call.RowsAt = _staging.Reserve<int>(room);
        call.GatesAt = _staging.Reserve<float>(room);
        call.XAt = _staging.Reserve<byte>((long)call.RowRoom * shape.InputStride * (_format == ActivationFormat.Float32 ? sizeof(float) : 1));
        call.XScalesAt = _staging.Reserve<byte>(_format == ActivationFormat.Float32 ? 0 : RowFactors.Bytes(call.RowRoom, shape.InputBlockCount));
        call.SumAt = _staging.Reserve<float>((long)call.RowRoom * shape.Columns);

        var moved = _staging.Commit();
        moved |= _hidden.Resize((long)call.MostPairs * shape.HiddenStride * sizeof(float));
        moved |= _y.Resize((long)call.MostPairs * shape.Columns * sizeof(float));
        if (_format == ActivationFormat.Int8Blocks)
        {
            moved |= _hiddenValues.Resize((long)call.MostPairs * shape.HiddenStride);
            moved |= _hiddenScales.Resize(RowFactors.Bytes(call.MostPairs, shape.HiddenBlockCount));
        }
        if (moved)
            _graphs.Forget();
        return call;
    }

    private void Fill(CallLayout call, ReadOnlySpan<TileWork> work, Activations x, ReadOnlySpan<int> rows, ReadOnlySpan<float> gates, float* sum)
    {
        var pair = 0;
        foreach (var item in work)
        {
            rows.Slice(item.First, item.Count).CopyTo(_staging.At<int>(call.RowsAt + pair * sizeof(int), item.Count));
            gates.Slice(item.First, item.Count).CopyTo(_staging.At<float>(call.GatesAt + pair * sizeof(float), item.Count));
            pair += item.Count;
        }
        for (var i = 0; i < _passCount; i++)
        {
            var pass = _passes[i];
            var room = call.IsSmall ? Bucket(pass.Pairs) : pass.Pairs;
            _rowPairs.Fill(
                _staging.At<int>(call.RowsAt + pass.FirstPair * sizeof(int), pass.Pairs), call.Rows,
                _staging.At<int>(pass.TouchedRowsAt, room), _staging.At<int>(pass.RowStartsAt, room + 1), _staging.At<int>(pass.RowPairsAt, pass.Pairs));
            if (pass.Transient is null)
                pass.FillItems(_staging.At<ExpertItem>(pass.ItemsAt, call.IsSmall ? Bucket(pass.ItemCount) : pass.ItemCount), _layout, 0);
        }
        CopyRows(call, x);
        Buffer.MemoryCopy(sum, (void*)(_staging.Host + (nint)call.SumAt), SumBytes(call.Rows), SumBytes(call.Rows));
    }

    private void CopyRows(CallLayout call, Activations x)
    {
        var shape = _weights.Layout.Shape;
        var elementBytes = _format == ActivationFormat.Float32 ? sizeof(float) : 1;
        var source = _format == ActivationFormat.Float32 ? (byte*)x.Floats : (byte*)x.Values;
        var target = (byte*)(_staging.Host + (nint)call.XAt);
        if (_weights.Layout.Regular)
            Copy(source, target, (long)call.Rows * shape.InputStride * elementBytes);
        else
            for (var row = 0; row < call.Rows; row++)
                for (var b = 0; b < x.Axis.BlockCount; b++)
                    Copy(
                        source + ((long)row * x.Axis.PaddedLength + x.Axis.Blocks[b].PaddedStart) * elementBytes,
                        target + ((long)row * shape.InputStride + _weights.Layout.InputBlocks[b].Tile * CudaExpertLayout.TileRows) * elementBytes,
                        (long)x.Axis.Blocks[b].PaddedLength * elementBytes);
        if (_format == ActivationFormat.Int8Blocks)
            RowFactors.Write(x, (float*)(_staging.Host + (nint)call.XScalesAt));

        static void Copy(byte* from, byte* to, long bytes) => Buffer.MemoryCopy(from, to, bytes, bytes);
    }

    private void RunAsGraph(CallLayout call)
    {
        var pass = _passes[0];
        var size = new PassSize(call.RowRoom, Bucket(pass.Pairs), Bucket(pass.ItemCount), Bucket(pass.Panels), Bucket(pass.MostBlocks), Bucket(pass.MostItemPairs));
        _stream.Run(_graphs.Find(size) ?? _graphs.Add(size, Record(call)));
    }

    /// <summary>Apart from <see cref="RunAsGraph"/>, which allocates nothing.</summary>
    private IKernelGraph Record(CallLayout call) => _stream.Capture(() => Enqueue(call));

    /// <summary>Copies the staging buffer, launches every pass, copies the sum back.</summary>
    private void Enqueue(CallLayout call)
    {
        _stream.CopyToDevice(_staging.Device, _staging.Host, _staging.Used);
        if (!call.IsSmall)
            _stream.Record(_begin);
        for (var i = 0; i < _passCount; i++)
            if (_passes[i].Transient is { } tile)
                EnqueueTransient(call, _passes[i], tile, i % _weights.Places);
            else
                Launch(call, _passes[i]);
        if (!call.IsSmall)
            _stream.Record(_end);
        _stream.CopyToHost(_staging.Host + (nint)call.SumAt, _staging.Device + (nint)call.SumAt, SumBytes(call.RowRoom));
    }

    /// <summary>The host fills the next place while the device still computes with the other.</summary>
    private void EnqueueTransient(CallLayout call, ExpertPass pass, ExpertTile tile, int place)
    {
        if (_placeUsed[place])
            _free[place].Wait();
        var origin = _weights.Transient(tile, place, _copied[place]);
        pass.FillItems(_staging.At<ExpertItem>(pass.ItemsAt, pass.ItemCount), _layout, origin);
        _stream.CopyToDevice(_staging.Device + (nint)pass.ItemsAt, _staging.Host + (nint)pass.ItemsAt, (long)pass.ItemCount * sizeof(ExpertItem));
        _stream.WaitFor(_copied[place]);
        Launch(call, pass);
        _stream.Record(_free[place]);
        _placeUsed[place] = true;
    }

    private void Launch(CallLayout call, ExpertPass pass)
    {
        var start = _staging.Device;
        var parameters = new ExpertCall
        {
            Shape = _weights.Layout.Shape,
            Items = start + (nint)pass.ItemsAt,
            Rows = start + (nint)call.RowsAt + pass.FirstPair * sizeof(int),
            Gates = start + (nint)call.GatesAt + pass.FirstPair * sizeof(float),
            XValues = start + (nint)call.XAt,
            XScales = start + (nint)call.XScalesAt,
            XFloats = start + (nint)call.XAt,
            Hidden = _hidden.Address,
            HiddenValues = _hiddenValues.Address,
            HiddenScales = _hiddenScales.Address,
            Y = _y.Address,
            TouchedRows = start + (nint)pass.TouchedRowsAt,
            RowStarts = start + (nint)pass.RowStartsAt,
            RowPairs = start + (nint)pass.RowPairsAt,
            Sum = start + (nint)call.SumAt,
            ItemCount = Room(pass.ItemCount),
            RowCount = Room(pass.Pairs),
        };
        var kernels = _weights.Kernels;
        var (most, panels) = (Room(pass.MostItemPairs), Room(pass.Panels));
        if (_format == ActivationFormat.Float32)
        {
            kernels.InputExact(_stream, parameters, most, panels);
            kernels.DownExact(_stream, parameters, most);
        }
        else if (most <= ExpertKernels.MostStreamed)
        {
            kernels.Input(_stream, parameters, most, panels);
            kernels.Quantise(_stream, parameters, Room(pass.MostBlocks), Room(pass.Pairs));
            kernels.Down(_stream, parameters, most);
        }
        else
        {
            kernels.InputMany(_stream, parameters, most, pass.MostPanels);
            kernels.Quantise(_stream, parameters, pass.MostBlocks, pass.Pairs);
            kernels.DownMany(_stream, parameters, most);
        }
        kernels.Combine(_stream, parameters);

        int Room(int count) => call.IsSmall ? Bucket(count) : count;
    }

    private long SumBytes(int rows) => (long)rows * _layout.Columns * sizeof(float);

    private static int Bucket(int count) => (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)count);

    /// <summary>Where a call's parts lie in the staging buffer, in bytes from its start.</summary>
    private struct CallLayout
    {
        public int Rows, RowRoom, MostPairs;
        public bool IsSmall;
        public long RowsAt, GatesAt, XAt, XScalesAt, SumAt;
    }
}
