using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Bench;

/// <summary>The short form of bench/Soak.Bench: a number of requests instead of minutes. Alone, as it measures the process's heap.</summary>
[Collection(nameof(Alone))]
public class SoakTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    private const int Clients = 32;

    // So few positions that sequences are preempted again and again.
    private const int KvPositions = 512;

    // Bytes of the heap from one half of the requests to the next; several kilobytes for each of them.
    private const long MostGrown = 1 << 20;

    [Theory]
    [InlineData(0, 1500)]
    [InlineData(2, 400)]
    public async Task Sequences_that_join_and_are_cancelled_at_random_get_what_they_get_alone_and_leave_nothing(int workers, int requests)
    {
        await using var session = await ClusterSession.StartAsync(new ClusterSessionOptions
        {
            StorePath = models.Golden("tiny-b"), Workers = workers, Plan = PlanRequest.Parse("sliced"), Program = [Grok1Process.ExecutablePath],
            KvMemory = KvBytes(models.Golden("tiny-b")),
        }, _ => { }, CancellationToken.None);
        var engine = session.StartEngine(new EngineOptions());
        var soak = new Soak.Bench.Soak(engine, session.Store.Config.VocabularySize);
        await soak.RunAloneAsync(CancellationToken.None);
        await RunAsync(soak, requests / 2);
        var ran = requests / 2;
        long grown;
        // Buffers may grow once more when more comes together than ever before; what leaks grows every time.
        do
        {
            var managed = GC.GetTotalMemory(forceFullCollection: true);
            await RunAsync(soak, requests / 2);
            ran += requests / 2;
            grown = GC.GetTotalMemory(forceFullCollection: true) - managed;
        }
        while (grown > MostGrown && ran < 3 * requests);
        Assert.InRange(grown, long.MinValue, MostGrown);
        Assert.Equal(ran, soak.Finished + soak.Cancelled);
        Assert.True(soak.Cancelled > ran / 10, $"{soak.Cancelled} were cancelled");
        Assert.True(engine.Statistics.Preemptions > 0, "the KV memory was meant to run out");
        engine.Dispose();
        Assert.Equal((0, 0), (engine.Statistics.Running, engine.Statistics.Waiting));
        Assert.Equal(session.KvPool.Capacity, session.KvPool.Available);
    }

    private static async Task RunAsync(Soak.Bench.Soak soak, int requests)
    {
        var left = requests;
        await soak.RunAsync(Clients, () => Interlocked.Decrement(ref left) >= 0);
    }

    /// <summary>Keys and values in bfloat16, all layers.</summary>
    private static long KvBytes(string store)
    {
        using var model = Model.Store.ModelStore.Open(store);
        return (long)KvPositions * 2 * sizeof(ushort) * model.Config.LayerCount * model.Config.KeyValueDim;
    }
}
