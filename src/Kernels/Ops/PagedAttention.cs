using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// <see cref="Attention"/> for the rows of a batch, spread over a compute pool by tiles of rows and KV heads, and by splits
/// of the context where a tile has few rows. One object is one reusable job: it allocates only when a batch is larger than
/// any before. Not for concurrent use.
/// </summary>
public sealed unsafe class PagedAttention : IComputeJob, IDisposable
{
    /// <summary>Tiles of at most so many rows are spread by splits.</summary>
    private const int FewRows = 4;

    /// <summary>Tiles and heads for each thread below which tiles are halved.</summary>
    private const int PartsPerThread = 4;

    private readonly AttentionShape _shape;
    private readonly List<nint> _blocks = [];
    private readonly List<SequenceRows> _runs = [];
    private readonly List<Part> _parts = [];
    private readonly List<Tile> _spread = [];
    private readonly CombineJob _combine;
    private NativeBuffer<float> _partials = new(0);
    private int _rows;
    private float* _queries;
    private int _queryStride;
    private float* _output;
    private int _outputStride;

    public PagedAttention(AttentionShape shape)
    {
        _shape = shape;
        _combine = new CombineJob(this);
    }

    /// <summary>Names the next rows of the batch, for the next <see cref="Run(ComputePool, float*, int, float*, int)"/>: consecutive rows of one sequence.</summary>
    /// <param name="start">Position of the first.</param>
    /// <param name="rows">Rows, at least 1.</param>
    /// <param name="blocks">Addresses of the sequence's KV blocks from position 0 on, at least up to the last row's.</param>
    /// <param name="offset">Bytes from a block's address to this layer's part.</param>
    public void Add(int start, int rows, ReadOnlySpan<nint> blocks, nint offset)
    {
        _runs.Add(new SequenceRows(_rows, rows, start, _blocks.Count, blocks.Length));
        foreach (var block in blocks)
            _blocks.Add(block + offset);
        _rows += rows;
    }

    /// <summary>Attends for every row added since the last run.</summary>
    /// <param name="pool">Where the work runs.</param>
    /// <param name="queries">[rows] x [query heads, HeadDim], rotated.</param>
    /// <param name="queryStride">Elements from one row to the next.</param>
    /// <param name="output">As <paramref name="queries"/>, overwritten.</param>
    /// <param name="outputStride">Elements from one row to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(ComputePool pool, float* queries, int queryStride, float* output, int outputStride)
    {
        _queries = queries;
        _queryStride = queryStride;
        _output = output;
        _outputStride = outputStride;
        Place(pool.Threads);
        pool.Run(this, _parts.Count * _shape.Kv.KvHeads);
        pool.Run(_combine, _spread.Count * _shape.Kv.KvHeads);
        _runs.Clear();
        _blocks.Clear();
        _rows = 0;
    }

    public void Dispose() => _partials.Dispose();

    private void Place(int threads)
    {
        _parts.Clear();
        _spread.Clear();
        var tileRows = _rows * _shape.Kv.KvHeads >= Attention.TileRows * PartsPerThread * threads ? Attention.TileRows : Attention.TileRows / 2;
        long partials = 0;
        foreach (var run in _runs)
            for (var first = 0; first < run.Rows; first += tileRows)
            {
                var rows = Math.Min(tileRows, run.Rows - first);
                var tile = new Tile(run.FirstRow + first, rows, run.Start + first, run.FirstBlock, run.BlockCount, partials);
                if (rows > FewRows || tile.Splits == 1)
                {
                    _parts.Add(new Part(tile, null));
                    continue;
                }
                for (var split = 0; split < tile.Splits; split++)
                    _parts.Add(new Part(tile, split));
                _spread.Add(tile);
                partials += (long)tile.Splits * rows * _shape.Kv.KvHeads * _shape.PartialLength;
            }
        if (partials > _partials.Length)
        {
            _partials.Dispose();
            _partials = new NativeBuffer<float>(Math.Max(partials, 2 * _partials.Length));
        }
    }

    // All tiles of a KV head before the next head's: they read the same keys and values.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void IComputeJob.Execute(int index)
    {
        var (head, at) = Math.DivRem(index, _parts.Count);
        var (tile, split) = _parts[at];
        var blocks = CollectionsMarshal.AsSpan(_blocks).Slice(tile.FirstBlock, tile.BlockCount);
        var length = _shape.ScratchLength(tile.Rows);
        var scratch = ThreadScratch.Floats(length);
        var queries = Row(_queries, tile.FirstRow, _queryStride, head);
        if (split is { } number)
            Attention.Split(_shape, blocks, head, tile.Start, tile.Rows, number, queries, _queryStride, scratch, Partials(tile, head, number));
        else
            Attention.Rows(_shape, blocks, head, tile.Start, tile.Rows, new ReadOnlySpan<float>(queries, Span(tile, _queryStride)), _queryStride,
                new Span<float>(scratch, length), new Span<float>(Row(_output, tile.FirstRow, _outputStride, head), Span(tile, _outputStride)), _outputStride);
    }

    private void Combine(Tile tile, int head)
    {
        for (var row = 0; row < tile.Rows; row++)
            Attention.Combine(_shape, Partials(tile, head, 0) + row * _shape.PartialLength, (long)tile.Rows * _shape.PartialLength,
                Attention.Splits(tile.Start + row + 1), Row(_output, tile.FirstRow + row, _outputStride, head));
    }

    private float* Row(float* rows, int row, int stride, int head) => rows + (long)row * stride + head * _shape.GroupDim;

    private int Span(Tile tile, int stride) => (tile.Rows - 1) * stride + _shape.GroupDim;

    private float* Partials(Tile tile, int head, int split) =>
        _partials.Pointer + tile.Partials + ((long)head * tile.Splits + split) * tile.Rows * _shape.PartialLength;

    /// <summary>Rows of one sequence.</summary>
    private readonly record struct SequenceRows(int FirstRow, int Rows, int Start, int FirstBlock, int BlockCount);

    /// <summary>Rows of a run that are computed together, and where their partial results lie if they are spread by splits.</summary>
    private readonly record struct Tile(int FirstRow, int Rows, int Start, int FirstBlock, int BlockCount, long Partials)
    {
        public int Splits => Attention.Splits(Start + Rows);
    }

    /// <summary>A split of a tile, or all of it.</summary>
    private readonly record struct Part(Tile Tile, int? Split);

    private sealed class CombineJob(PagedAttention owner) : IComputeJob
    {
        public void Execute(int part)
        {
            var (tile, head) = Math.DivRem(part, owner._shape.Kv.KvHeads);
            owner.Combine(owner._spread[tile], head);
        }
    }
}
