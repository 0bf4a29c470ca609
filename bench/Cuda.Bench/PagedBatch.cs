using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>Sequences side by side in one device's KV memory, each in its own blocks, which lie in no order.</summary>
internal sealed class PagedBatch : IDisposable
{
    /// <summary>Tokens that every model here has.</summary>
    private const int Tokens = 500;

    private readonly IDenseLayers _layers;
    private readonly IKvMemory _kv;
    private readonly nint[][] _blocks;

    /// <param name="layers">Whose memory.</param>
    /// <param name="sequences">Sequences.</param>
    /// <param name="positions">Most positions of each.</param>
    public PagedBatch(IDenseLayers layers, int sequences, int positions)
    {
        _layers = layers;
        var each = (positions + KvBlockLayout.Tokens - 1) / KvBlockLayout.Tokens;
        _kv = layers.AllocateKv(layers.KvBlockBytes * each * sequences);
        var order = Enumerable.Range(0, each * sequences).ToArray();
        new Random(7).Shuffle(order);
        _blocks = [.. order.Select(block => _kv.Address + (nint)(block * layers.KvBlockBytes)).Chunk(each)];
    }

    /// <summary>A step of some rows of each of the first sequences.</summary>
    public TokenBatch Step(int sequences, int start, int rows)
    {
        var batch = new TokenBatch();
        for (var sequence = 0; sequence < sequences; sequence++)
            batch.Add([.. Enumerable.Range(0, rows).Select(row => row % Tokens)], start, _blocks[sequence]);
        return batch;
    }

    public void Dispose()
    {
        _kv.Dispose();
        _layers.Dispose();
    }
}
