using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Cluster.Tests.Serving;

/// <summary>A healthy cluster in one process, so that everything it allocates can be counted.</summary>
[Collection(nameof(Alone))]
public sealed class SteadyStateTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Fact]
    public async Task A_token_allocates_nothing_in_coordinator_wire_and_workers()
    {
        const int WarmUp = 200, Rounds = 4, Steps = 50;
        await using var first = await WorkerAsync("worker-0");
        await using var second = await WorkerAsync("worker-1");
        await using var session = await ClusterSession.StartAsync(new ClusterSessionOptions
        {
            StorePath = models.Golden("tiny-a"), WorkerAddresses = [first.Address.ToString(), second.Address.ToString()], Threads = 2, PipelineDepth = 2,
        }, _ => { }, CancellationToken.None);
        using var kv = new SequenceKv(session.KvPool);
        Assert.True(kv.TryReserve(WarmUp + Rounds * Steps + 2));
        var batch = new TokenBatch();
        using var logits = new NativeBuffer<float>(2 * session.Store.Config.VocabularySize);
        int[] tokens = new int[WarmUp + Rounds * Steps + 2];

        void Step()
        {
            batch.Clear();
            batch.Add(tokens.AsSpan(kv.Length, 2), kv.Length, kv.Blocks);
            session.Forward.Run(batch, [1], logits, CancellationToken.None);
        }

        for (var i = 0; i < WarmUp; i++)
            Step();
        var least = double.MaxValue;
        for (var round = 0; round < Rounds; round++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            for (var i = 0; i < Steps; i++)
                Step();
            least = Math.Min(least, (GC.GetTotalAllocatedBytes(precise: true) - before) / (double)Steps);
        }
        // Keep-alive timers, the test's own clock and a call that a busy machine holds up allocate now and then, a token never does.
        Assert.InRange(least, 0, 40);
    }

    private Task<ExpertWorkerHost> WorkerAsync(string id) => ExpertWorkerHost.StartAsync(
        new ExpertWorkerOptions { Id = id, ModelPath = models.Golden("tiny-a"), Threads = 1 }, _ => { }, CancellationToken.None);
}
