using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Cuda.Products;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// One call as the device takes it: its work cut into passes, and all that these read and write, but weights and scratch, in one
/// staging buffer. Used again for every call. A call is small when its launches can be recorded; then whatever decides a grid or an
/// offset is rounded up to a bucket, so that calls of about the same size share a recording.
/// </summary>
internal sealed unsafe class ExpertCallStaging(CudaExpertWeights weights, ActivationFormat format) : IDisposable
{
    private readonly ExpertLayout _layout = weights.Layout.Store;
    private readonly StagingBuffer _buffer = new(weights.Device);
    private readonly List<ExpertPass> _passes = [];
    private readonly RowPairs _rowPairs = new();

    public StagingBuffer Buffer => _buffer;

    public int PassCount { get; private set; }

    /// <summary>Whether its launches can be recorded.</summary>
    public bool IsSmall { get; private set; }

    /// <summary>Rows of the activations and of the sum that there is room for.</summary>
    public int RowRoom { get; private set; }

    /// <summary>Most pairs of a pass that there has to be room for.</summary>
    public int MostPairs { get; private set; }

    // Offsets in the staging buffer.
    public long RowsAt { get; private set; }

    public long GatesAt { get; private set; }

    public long XAt { get; private set; }

    public long XScalesAt { get; private set; }

    public long SumAt { get; private set; }

    private int Rows { get; set; }

    public ExpertPass Pass(int number) => _passes[number];

    /// <summary>What the grids and the offsets of a small call depend on.</summary>
    public PassSize Size => new(RowRoom, Room(_passes[0].Pairs), Room(_passes[0].ItemCount), Room(_passes[0].Panels), Room(_passes[0].MostBlocks), Room(_passes[0].MostItemPairs));

    /// <summary>A count, as this call rounds it.</summary>
    public int Room(int count) => IsSmall ? Bucket(count) : count;

    /// <summary>Bytes of the sum of so many rows.</summary>
    public long SumBytes(int rows) => (long)rows * _layout.Columns * sizeof(float);

    /// <summary>Cuts the work into passes and gives everything its place; nothing may be under way.</summary>
    /// <param name="work">Items that the device computes.</param>
    /// <param name="rows">Rows of the activations.</param>
    /// <returns>Whether the buffer's addresses changed.</returns>
    public bool Begin(ReadOnlySpan<TileWork> work, int rows)
    {
        Divide(work);
        return LayOut(rows);
    }

    /// <summary>Writes the call's tables, activations and the sum so far to the host's side.</summary>
    public void Fill(ReadOnlySpan<TileWork> work, Activations x, ReadOnlySpan<int> rows, ReadOnlySpan<float> gates, float* sum)
    {
        var pair = 0;
        foreach (var item in work)
        {
            rows.Slice(item.First, item.Count).CopyTo(_buffer.At<int>(RowsAt + pair * sizeof(int), item.Count));
            gates.Slice(item.First, item.Count).CopyTo(_buffer.At<float>(GatesAt + pair * sizeof(float), item.Count));
            pair += item.Count;
        }
        for (var i = 0; i < PassCount; i++)
        {
            var pass = _passes[i];
            var room = Room(pass.Pairs);
            _rowPairs.Fill(
                _buffer.At<int>(RowsAt + pass.FirstPair * sizeof(int), pass.Pairs), Rows,
                _buffer.At<int>(pass.TouchedRowsAt, room), _buffer.At<int>(pass.RowStartsAt, room + 1), _buffer.At<int>(pass.RowPairsAt, pass.Pairs));
            if (pass.Transient is null)
                FillItems(pass, 0);
        }
        CopyRows(x);
        Copy((byte*)sum, (byte*)(_buffer.Host + (nint)SumAt), SumBytes(Rows));
    }

    /// <summary>Writes a pass's table of items to the host's side.</summary>
    /// <param name="origin">Where the tile is that passes through; does not count where there is none.</param>
    public void FillItems(ExpertPass pass, nint origin) => pass.FillItems(_buffer.At<ExpertItem>(pass.ItemsAt, Room(pass.ItemCount)), _layout, origin);

    /// <summary>Reads the sum from the host's side.</summary>
    public void ReadSum(float* sum) => Copy((byte*)(_buffer.Host + (nint)SumAt), (byte*)sum, SumBytes(Rows));

    public void Dispose() => _buffer.Dispose();

    private void Divide(ReadOnlySpan<TileWork> work)
    {
        PassCount = 0;
        var pairs = 0;
        foreach (var item in work)
        {
            var origin = weights.Find(item.Tile);
            for (var done = 0; done < item.Count;)
            {
                var last = PassCount == 0 ? null : _passes[PassCount - 1];
                var room = last is null || last.Transient != (origin is null ? item.Tile : null) ? 0 : ExpertPass.MostPairs - last.Pairs;
                if (room == 0)
                {
                    if (_passes.Count == PassCount)
                        _passes.Add(new ExpertPass());
                    last = _passes[PassCount++];
                    last.Begin(pairs, origin is null ? item.Tile : null);
                    room = ExpertPass.MostPairs;
                }
                var count = Math.Min(room, item.Count - done);
                last!.Add(new TileWork(item.Tile, item.First + done, count), origin ?? 0, _layout);
                (done, pairs) = (done + count, pairs + count);
            }
        }
    }

    private bool LayOut(int rows)
    {
        var only = PassCount == 1 ? _passes[0] : null;
        IsSmall = only is { Transient: null } && rows <= ExpertKernels.MostStreamed && only.MostItemPairs <= ExpertKernels.MostStreamed;
        (Rows, RowRoom, MostPairs) = (rows, Room(rows), 0);
        var pairs = 0;
        _buffer.Begin();
        for (var i = 0; i < PassCount; i++)
        {
            var pass = _passes[i];
            pairs += pass.Pairs;
            var pairRoom = Room(pass.Pairs);
            MostPairs = Math.Max(MostPairs, pairRoom);
            pass.ItemsAt = _buffer.Reserve<ExpertItem>(Room(pass.ItemCount));
            pass.TouchedRowsAt = _buffer.Reserve<int>(pairRoom);
            pass.RowStartsAt = _buffer.Reserve<int>(pairRoom + 1);
            pass.RowPairsAt = _buffer.Reserve<int>(pairRoom);
        }
        var shape = weights.Layout.Shape;
        RowsAt = _buffer.Reserve<int>(Room(pairs));
        GatesAt = _buffer.Reserve<float>(Room(pairs));
        XAt = _buffer.Reserve<byte>((long)RowRoom * shape.InputStride * (format == ActivationFormat.Float32 ? sizeof(float) : 1));
        XScalesAt = _buffer.Reserve<byte>(format == ActivationFormat.Float32 ? 0 : RowFactors.Bytes(RowRoom, shape.InputBlockCount));
        SumAt = _buffer.Reserve<float>((long)RowRoom * shape.Columns);
        return _buffer.Commit();
    }

    private void CopyRows(Activations x)
    {
        var shape = weights.Layout.Shape;
        var elementBytes = format == ActivationFormat.Float32 ? sizeof(float) : 1;
        var source = format == ActivationFormat.Float32 ? (byte*)x.Floats : (byte*)x.Values;
        var target = (byte*)(_buffer.Host + (nint)XAt);
        if (weights.Layout.Regular)
            Copy(source, target, (long)Rows * shape.InputStride * elementBytes);
        else
            for (var row = 0; row < Rows; row++)
                for (var b = 0; b < x.Axis.BlockCount; b++)
                    Copy(
                        source + ((long)row * x.Axis.PaddedLength + x.Axis.Blocks[b].PaddedStart) * elementBytes,
                        target + ((long)row * shape.InputStride + weights.Layout.InputBlocks[b].Tile * CudaExpertLayout.TileRows) * elementBytes,
                        (long)x.Axis.Blocks[b].PaddedLength * elementBytes);
        if (format == ActivationFormat.Int8Blocks)
            RowFactors.Write(x, (float*)(_buffer.Host + (nint)XScalesAt));
    }

    private static void Copy(byte* from, byte* to, long bytes) => System.Buffer.MemoryCopy(from, to, bytes, bytes);

    private static int Bucket(int count) => (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)count);
}
