using BenchmarkDotNet.Attributes;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Micro.Bench;

/// <summary>One KV head of Grok-1, six query heads of 128, one thread: a decoding row, and a tile of prefill.</summary>
public class AttentionBenchmark
{
    private const int HeadDim = 128, Group = 6;

    private readonly KvBlockLayout _kv = new(kvHeads: 1, HeadDim, KvFormat.Bf16);
    private AttentionShape _shape = null!;
    private NativeBuffer<byte> _memory = null!;
    private nint[] _blocks = [];
    private float[] _queries = [], _scratch = [], _output = [];

    [Params(128, 1024, 8192)]
    public int Context { get; set; }

    [Params(1, Attention.TileRows)]
    public int Rows { get; set; }

    [GlobalSetup]
    public unsafe void Setup()
    {
        _shape = new AttentionShape(_kv, Group, 0.088f, 30);
        var count = (Context + KvBlockLayout.Tokens - 1) / KvBlockLayout.Tokens;
        _memory = new NativeBuffer<byte>((long)count * _kv.BlockBytes);
        _blocks = [.. Enumerable.Range(0, count).Select(block => (nint)(_memory.Pointer + (long)block * _kv.BlockBytes))];
        for (var position = 0; position < Context; position++)
        {
            _kv.StoreKey(_blocks[position / KvBlockLayout.Tokens], position % KvBlockLayout.Tokens, Numbers.Floats(HeadDim, 2 * position));
            _kv.StoreValue(_blocks[position / KvBlockLayout.Tokens], position % KvBlockLayout.Tokens, Numbers.Floats(HeadDim, 2 * position + 1));
        }
        _queries = Numbers.Floats(Rows * Group * HeadDim);
        _scratch = new float[_shape.ScratchLength(Rows)];
        _output = new float[_queries.Length];
    }

    [Benchmark]
    public void Rows_of_one_head() =>
        Attention.Rows(_shape, _blocks, 0, Context - Rows, Rows, _queries, _shape.GroupDim, _scratch, _output, _shape.GroupDim);

    [GlobalCleanup]
    public void Cleanup() => _memory.Dispose();
}
