using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Failover;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Wire;

/// <summary>What a worker of the release before outliers is sent.</summary>
public sealed class OutlierFoldTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Fact]
    public unsafe void Outliers_go_back_among_the_values_of_their_blocks_and_other_blocks_stay()
    {
        using var axis = new ReductionAxis(400, 1);
        using var input = new Activations(axis, ActivationFormat.Int8Blocks);
        input.Resize(2);
        var rows = Enumerable.Range(0, 2).Select(row => Enumerable.Range(0, 400).Select(i => MathF.Sin(i + row)).ToArray()).ToArray();
        (rows[0][150], rows[0][151], rows[1][300]) = (70, -900, 55);
        for (var row = 0; row < 2; row++)
            input.Set(row, rows[row]);
        Assert.Equal((2, 1), (input.CountOutliers(0), input.CountOutliers(1)));
        var frame = FrameOf(input);
        OutlierFold.Apply(frame, axis);
        Assert.True(frame.Outliers.IsEmpty);
        Assert.Equal(Crc32C.Compute(frame.Payload), frame.Checksum);
        var values = MemoryMarshal.Cast<byte, sbyte>(frame.Activations);
        var scales = MemoryMarshal.Cast<byte, float>(frame.Scales);
        for (var row = 0; row < 2; row++)
            for (var b = 0; b < axis.BlockCount; b++)
            {
                var (block, scale) = (axis.Blocks[b], scales[row * axis.BlockCount + b]);
                var x = rows[row].AsSpan(block.Start, block.Length);
                Assert.Equal(x.ToArray().Max(Math.Abs) / 127f, scale);
                // Rounded twice.
                for (var k = 0; k < x.Length; k++)
                    Assert.InRange(Math.Abs(values[row * axis.PaddedLength + block.PaddedStart + k] * (double)scale - x[k]), 0, scale * 0.6 + 0.005);
                Assert.DoesNotContain((sbyte)-128, values.ToArray());
            }
    }

    [Fact]
    public async Task A_call_that_belongs_to_no_batch_under_way_reaches_a_worker_of_the_release_before_outliers()
    {
        var model = models.Golden("tiny-a");
        using var store = ModelStore.Open(model);
        await using var worker = await FaultyWorker.StartAsync("worker-0", model, describe: said => said.Protocol = ExpertMethods.FirstWithOutliers - 1);
        await using var connection = await WorkerConnection.ConnectAsync(worker.Address, null, null, CancellationToken.None);
        var plan = new PlanLookup(Planner.Whole(FailoverCluster.Geometry(model), ["worker-0"]), FailoverCluster.Geometry(model));
        using var batch = new ExpertBatch(store.Config, new Activations(store.ExpertLayout.InputAxis, ActivationFormat.Int8Blocks), slot: 0);
        batch.Begin(layer: 0, rows: 1, isDecode: true);
        var row = Enumerable.Range(0, store.Config.EmbeddingDim).Select(i => MathF.Sin(i)).ToArray();
        row[3] = 900;
        batch.Input.Set(0, row);
        Assert.Equal(1, batch.Input.CountOutliers(0));
        (batch.Experts[0], batch.Experts[1]) = (0, 1);

        // As calls are made that nobody waits for.
        var flight = new LayerFlight(store.Config.EmbeddingDim, TimeSpan.Zero);
        var call = new WorkerCall(flight);
        Assert.True(call.Fill(batch, new WorkerRoute(0, plan.Bundles(0).ToArray(), plan.Plan, store.Config.ExpertCount)));
        call.Frame.Weights = ExpertMethods.ShortFingerprint(store.Manifest.Fingerprint);
        flight.Expect();
        call.Send(connection);
        Assert.True(flight.Wait(Grok1Process.DefaultTimeout, CancellationToken.None));
        Assert.Null(call.Fault);
        Assert.True(call.Frame.Outliers.IsEmpty);
    }

    private static unsafe CallFrame FrameOf(Activations input)
    {
        var frame = new CallFrame { Tokens = (uint)input.Rows };
        var outliers = Enumerable.Range(0, input.Rows).Sum(input.CountOutliers);
        var (values, blocks) = (input.Rows * input.Axis.PaddedLength, input.Rows * input.Axis.BlockCount);
        frame.Resize(values, blocks * sizeof(float), 2, 8, outliers * sizeof(RowOutlier));
        new Span<byte>(input.Values, values).CopyTo(frame.Activations);
        new Span<byte>(input.Scales, blocks * sizeof(float)).CopyTo(frame.Scales);
        var target = MemoryMarshal.Cast<byte, RowOutlier>(frame.Outliers);
        for (var row = 0; row < input.Rows; row++)
        {
            input.CopyOutliers(row, row, target);
            target = target[input.CountOutliers(row)..];
        }
        return frame;
    }
}
