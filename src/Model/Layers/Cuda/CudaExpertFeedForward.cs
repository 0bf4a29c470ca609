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
    private readonly ExpertCallStaging _call;
    private readonly DeviceScratch _hidden, _hiddenValues, _hiddenScales, _y;
    private readonly RecordedGraphs<PassSize> _graphs = new(MostGraphs);

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
        _call = new ExpertCallStaging(weights, format);
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
        foreach (var owned in _copied.Concat(_free).Cast<IDisposable>().Concat([_begin, _end, _call, _hidden, _hiddenValues, _hiddenScales, _y, _stream, _cpu]))
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
        MakeRoom(_call.Begin(work, x.Rows));
        _call.Fill(work, x, rows, gates, sum);
        if (_call.IsSmall)
            RunAsGraph();
        else
            Enqueue();
        _stream.Synchronize();
        KernelTime = _call.IsSmall ? null : _end.Since(_begin);
        _call.ReadSum(sum);
    }

    /// <summary>Makes room for what is between the kernels of a pass; a recording has its addresses.</summary>
    private void MakeRoom(bool moved)
    {
        var shape = _weights.Layout.Shape;
        moved |= _hidden.Resize((long)_call.MostPairs * shape.HiddenStride * sizeof(float));
        moved |= _y.Resize((long)_call.MostPairs * shape.Columns * sizeof(float));
        if (_format == ActivationFormat.Int8Blocks)
        {
            moved |= _hiddenValues.Resize((long)_call.MostPairs * shape.HiddenStride);
            moved |= _hiddenScales.Resize(RowFactors.Bytes(_call.MostPairs, shape.HiddenBlockCount));
        }
        if (moved)
            _graphs.Forget();
    }

    private void RunAsGraph() => _stream.Run(_graphs.Find(_call.Size) ?? _graphs.Add(_call.Size, _stream.Capture(Enqueue)));

    /// <summary>Copies the staging buffer, launches every pass, copies the sum back.</summary>
    private void Enqueue()
    {
        var staging = _call.Buffer;
        _stream.CopyToDevice(staging.Device, staging.Host, staging.Used);
        if (!_call.IsSmall)
            _stream.Record(_begin);
        for (var i = 0; i < _call.PassCount; i++)
            if (_call.Pass(i) is { Transient: { } tile } passing)
                EnqueueTransient(passing, tile, i % _weights.Places);
            else
                Launch(_call.Pass(i));
        if (!_call.IsSmall)
            _stream.Record(_end);
        _stream.CopyToHost(staging.Host + (nint)_call.SumAt, staging.Device + (nint)_call.SumAt, _call.SumBytes(_call.RowRoom));
    }

    /// <summary>The host fills the next place while the device still computes with the other.</summary>
    private void EnqueueTransient(ExpertPass pass, ExpertTile tile, int place)
    {
        if (_placeUsed[place])
            _free[place].Wait();
        var origin = _weights.Transient(tile, place, _copied[place]);
        _call.FillItems(pass, origin);
        _stream.CopyToDevice(_call.Buffer.Device + (nint)pass.ItemsAt, _call.Buffer.Host + (nint)pass.ItemsAt, (long)pass.ItemCount * sizeof(ExpertItem));
        _stream.WaitFor(_copied[place]);
        Launch(pass);
        _stream.Record(_free[place]);
        _placeUsed[place] = true;
    }

    private void Launch(ExpertPass pass)
    {
        var start = _call.Buffer.Device;
        var parameters = new ExpertCall
        {
            Shape = _weights.Layout.Shape,
            Items = start + (nint)pass.ItemsAt,
            Rows = start + (nint)_call.RowsAt + pass.FirstPair * sizeof(int),
            Gates = start + (nint)_call.GatesAt + pass.FirstPair * sizeof(float),
            XValues = start + (nint)_call.XAt,
            XScales = start + (nint)_call.XScalesAt,
            XFloats = start + (nint)_call.XAt,
            Hidden = _hidden.Address,
            HiddenValues = _hiddenValues.Address,
            HiddenScales = _hiddenScales.Address,
            Y = _y.Address,
            TouchedRows = start + (nint)pass.TouchedRowsAt,
            RowStarts = start + (nint)pass.RowStartsAt,
            RowPairs = start + (nint)pass.RowPairsAt,
            Sum = start + (nint)_call.SumAt,
            ItemCount = _call.Room(pass.ItemCount),
            RowCount = _call.Room(pass.Pairs),
        };
        var kernels = _weights.Kernels;
        var (most, panels) = (_call.Room(pass.MostItemPairs), _call.Room(pass.Panels));
        if (_format == ActivationFormat.Float32)
        {
            kernels.InputExact(_stream, parameters, most, panels);
            kernels.DownExact(_stream, parameters, most);
        }
        else if (most <= ExpertKernels.MostStreamed)
        {
            kernels.Input(_stream, parameters, most, panels);
            kernels.Quantise(_stream, parameters, _call.Room(pass.MostBlocks), _call.Room(pass.Pairs));
            kernels.Down(_stream, parameters, most);
        }
        else
        {
            kernels.InputMany(_stream, parameters, most, pass.MostPanels);
            kernels.Quantise(_stream, parameters, pass.MostBlocks, pass.Pairs);
            kernels.DownMany(_stream, parameters, most);
        }
        kernels.Combine(_stream, parameters);
    }
}
