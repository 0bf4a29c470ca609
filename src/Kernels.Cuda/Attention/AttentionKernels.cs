using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.KvCache;

namespace Grok1Cluster.Kernels.Cuda.Attention;

/// <summary>The kernels between the query, key and value products and the attention's output product, for one format of the KV cache.</summary>
public sealed class AttentionKernels : IDisposable
{
    /// <summary>Shared memory that a block may have on every supported architecture.</summary>
    private const int MostSharedBytes = 64 << 10;

    private const int Warps = 4, Warp = 32;

    /// <summary>Queries of a tile: the kernels' instances, ascending.</summary>
    private static readonly int[] TileSizes = [8, 16];

    private readonly IKernelModule _storeModule, _attendModule;
    private readonly IKernel _store, _merge;
    private readonly IKernel[] _attend;
    private readonly KvShape _shape;

    /// <param name="device">Where they run.</param>
    /// <param name="kv">How keys and values are cached.</param>
    /// <param name="queryHeads">Query heads, a multiple of the KV heads.</param>
    /// <exception cref="CudaException">A kernel cannot be compiled or loaded, or heads are too wide for a block's shared memory.</exception>
    public AttentionKernels(IKernelDevice device, KvBlockLayout kv, int queryHeads)
    {
        _shape = new KvShape
        {
            HeadDim = kv.HeadDim, KvHeads = kv.KvHeads, QueryHeads = queryHeads, ValuePanels = kv.ValuePanels, HeadBytes = kv.HeadBytes, ScaleBytes = kv.ScaleBytes,
        };
        if (SharedBytes(TileSizes[0]) > MostSharedBytes)
            throw new CudaException($"heads of {kv.HeadDim} are too wide for the GPU's attention kernels: use --device cpu");
        var name = kv.Format switch { KvFormat.Int8 => "int8", KvFormat.Bf16 => "bf16", _ => "f32" };
        (_storeModule, _attendModule) = (device.Load("kv_store.cu"), device.Load("attention.cu"));
        _store = _storeModule.Find($"kv_store_{name}");
        _attend = [.. TileSizes.Select(queries => _attendModule.Find($"attention_{name}_{queries}"))];
        _merge = _attendModule.Find("attention_merge");
    }

    public KvShape Shape => _shape;

    /// <summary>Floats of a tile's sums for one split and one KV head.</summary>
    public int PartialLength(int tileQueries) => tileQueries * SumStride;

    /// <summary>Queries of the tiles of a batch whose runs have at most so many for a KV head.</summary>
    public int TileQueries(int most) => most > TileSizes[0] && SharedBytes(TileSizes[1]) <= MostSharedBytes ? TileSizes[1] : TileSizes[0];

    /// <summary>Rotates queries and keys of every row, and stores keys and values.</summary>
    public void Store(IKernelStream stream, in KvStore store, int rows) =>
        stream.Launch(_store, new Grid((_shape.QueryHeads + 2 * _shape.KvHeads + Warps - 1) / Warps, rows), Warps * Warp, 0, store);

    /// <summary>Attends for every tile; adds up those whose splits lie apart.</summary>
    public void Attend(IKernelStream stream, in AttentionCall call, int tiles, int merges)
    {
        stream.Launch(_attend[Array.IndexOf(TileSizes, call.TileQueries)], new Grid(tiles, _shape.KvHeads), Warps * Warp, SharedBytes(call.TileQueries), call);
        stream.Launch(_merge, new Grid(merges, _shape.KvHeads), Warps * Warp, 0, call);
    }

    public void Dispose()
    {
        _storeModule.Dispose();
        _attendModule.Dispose();
    }

    /// <summary>Sums of values, padded to panels, and of exponentials.</summary>
    private int SumStride => (_shape.ValuePanels + 1) * Warp;

    /// <summary>The arrays of AttentionBlock.</summary>
    private int SharedBytes(int queries) => sizeof(float) * queries * (_shape.HeadDim + Warps * Warp + 2 * SumStride);
}
