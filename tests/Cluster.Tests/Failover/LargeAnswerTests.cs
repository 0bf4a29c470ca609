using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>A worker that has the bundles of many others, after drains and moves or while it stands in for them.</summary>
public sealed class LargeAnswerTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Fact]
    public async Task A_worker_is_asked_by_several_calls_where_the_answer_to_one_would_be_too_large()
    {
        var model = models.Golden("tiny-a");
        using var store = ModelStore.Open(model);
        var (geometry, config) = (FailoverCluster.Geometry(model), store.Config);
        await using var worker = await ExpertWorkerHost.StartAsync(new ExpertWorkerOptions { Id = "worker-0", ModelPath = model, Threads = 1 }, _ => { }, CancellationToken.None);
        var many = Planner.Whole(geometry, WorkerIds.Numbered(config.ExpertCount));
        var plan = many with { Bundles = [.. many.Bundles.Select(bundle => bundle with { Workers = ["worker-0"] })] };
        await using var pool = new WorkerPool(plan, store.Manifest.Fingerprint, [await WorkerConnection.ConnectAsync(worker.Address.ToString(), null, null, CancellationToken.None)]);
        using var threads = new ComputePool(1, spin: false);
        await using var dispatcher = new RemoteExpertDispatcher(geometry, pool, store.Manifest.Fingerprint, config, threads, TimeSpan.Zero, Grok1Process.DefaultTimeout, compareEvery: 0, arbiter: null);
        using var batch = new ExpertBatch(config, new Activations(store.ExpertLayout.InputAxis, ActivationFormat.Float32), slot: 0);

        var tooMany = ExpertMethods.MaxMessageBytes / (config.ExpertCount * config.EmbeddingDim * sizeof(float)) + 1;
        Fill(batch, tooMany);
        dispatcher.Dispatch(batch, CancellationToken.None);
        dispatcher.Combine(batch, CancellationToken.None);
        var last = batch.SumRow(config.ExpertCount - 1).ToArray();
        Assert.Equal(0, pool.Links[0].Outcomes.Wrong);
        Assert.True(pool.Links[0].Outcomes.Ok > 1);

        // A row has the bits that it has among few.
        Fill(batch, config.ExpertCount);
        dispatcher.Dispatch(batch, CancellationToken.None);
        dispatcher.Combine(batch, CancellationToken.None);
        Assert.Equal(last, batch.SumRow(config.ExpertCount - 1).ToArray());
    }

    private static void Fill(ExpertBatch batch, int rows)
    {
        batch.Begin(layer: 0, rows, isDecode: false);
        var (width, experts) = (batch.SumRow(0).Length, 8);
        for (var row = 0; row < rows; row++)
        {
            batch.Input.Set(row, [.. Enumerable.Range(0, width).Select(i => MathF.Sin(i + row % experts))]);
            (batch.Experts[2 * row], batch.Experts[2 * row + 1]) = (row % experts, (row + 1) % experts);
            (batch.Gates[2 * row], batch.Gates[2 * row + 1]) = (0.5f, 0.25f);
        }
    }
}
