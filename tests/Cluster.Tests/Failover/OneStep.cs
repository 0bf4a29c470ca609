using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Cluster.Tests.Failover;

internal static class OneStep
{
    /// <summary>[VocabularySize] logits after a prompt of a few tokens, from an empty KV cache.</summary>
    public static float[] Logits(ClusterSession session)
    {
        using var kv = new SequenceKv(session.KvPool);
        int[] tokens = [3, 9, 27, 81, 100, 41, 7];
        Assert.True(kv.TryReserve(tokens.Length));
        var batch = new TokenBatch();
        batch.Add(tokens, 0, kv.Blocks);
        var vocabulary = session.Store.Config.VocabularySize;
        using var logits = new NativeBuffer<float>(vocabulary);
        session.Forward.Run(batch, [tokens.Length - 1], logits, CancellationToken.None);
        return logits.Slice(0, vocabulary).ToArray();
    }
}
