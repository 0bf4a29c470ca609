using Google.Protobuf;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>Two workers with the whole model, of which the first does something wrong.</summary>
public sealed class FaultTests(ModelFixture models) : IClassFixture<ModelFixture>, IAsyncLifetime
{
    private readonly string _plan = Path.GetTempFileName();
    private FaultyWorker _faulty = null!;
    private ExpertWorkerHost _sound = null!;

    public async Task InitializeAsync()
    {
        _faulty = await FaultyWorker.StartAsync("worker-0", models.Golden("tiny-a"));
        _sound = await ExpertWorkerHost.StartAsync(new ExpertWorkerOptions { Id = "worker-1", ModelPath = models.Golden("tiny-a"), Threads = 1 }, _ => { }, CancellationToken.None);
    }

    public async Task DisposeAsync()
    {
        await _faulty.DisposeAsync();
        await _sound.DisposeAsync();
        File.Delete(_plan);
    }

    [Theory]
    [InlineData("corrupt", false)]
    [InlineData("corrupt", true)]
    [InlineData("internal", false)]
    [InlineData("altered", false)]
    [InlineData("altered", true)]
    [InlineData("not finite", false)]
    public async Task A_fault_that_happens_once_changes_nothing(string fault, bool replicated)
    {
        await using var session = await StartAsync(replicated);
        var expected = OneStep.Logits(session);
        Do(fault, times: 1);
        Assert.Equal(expected, OneStep.Logits(session));
        Assert.Equal(1, session.WorkerPool!.Links[replicated ? 1 : 0].Outcomes.Retried);
    }

    [Theory]
    [InlineData("corrupt", "Corrupt")]
    [InlineData("altered", "does not have its checksum")]
    [InlineData("not finite", "not finite")]
    public async Task A_fault_that_stays_is_borne_by_a_replica_and_is_an_error_without_one(string fault, string message)
    {
        await using var alone = await StartAsync(replicated: false);
        await using var replicated = await StartAsync(replicated: true);
        var expected = OneStep.Logits(alone);
        Do(fault, times: int.MaxValue);
        Assert.Equal(expected, OneStep.Logits(replicated));
        var error = Assert.Throws<DispatchException>(() => OneStep.Logits(alone));
        Assert.StartsWith($"worker worker-0 at {_faulty.Address} ", error.Message);
        Assert.Contains(message, error.Message);
    }

    [Theory]
    [InlineData("invalid")]
    [InlineData("other weights")]
    public async Task A_call_that_every_worker_would_refuse_is_an_error_at_once(string fault)
    {
        await using var session = await StartAsync(replicated: true);
        Do(fault, times: 1);
        Assert.Contains("as the test wants it", Assert.Throws<DispatchException>(() => OneStep.Logits(session)).Message);
        Assert.All(session.WorkerPool!.Links, link => Assert.Equal(0, link.Outcomes.Retried));
    }

    [Fact]
    public async Task A_worker_that_does_not_hold_a_bundle_is_not_asked_for_it_again()
    {
        await using var alone = await StartAsync(replicated: false);
        await using var replicated = await StartAsync(replicated: true);
        var expected = OneStep.Logits(alone);
        Do("not held", times: int.MaxValue);
        Assert.Equal(expected, OneStep.Logits(replicated));
        Assert.Matches("^layer 0 .* had no worker for 0.2 s: worker worker-0 at .* does not hold them", Assert.Throws<DispatchException>(() => OneStep.Logits(alone)).Message);
    }

    [Fact]
    public async Task A_late_call_is_answered_by_a_replica_that_has_nothing_to_do_and_the_late_answer_is_dropped()
    {
        await using var session = await StartAsync(replicated: true);
        var expected = OneStep.Logits(session);
        var gate = new TaskCompletionSource();
        // Enough calls to know how long one takes.
        for (var i = 0; i < 32; i++)
            Assert.Equal(expected, OneStep.Logits(session));
        var held = 0;
        _faulty.Gate = () => Interlocked.Exchange(ref held, 1) == 0 ? gate.Task : Task.CompletedTask;
        Assert.Equal(expected, OneStep.Logits(session));
        var outcomes = session.WorkerPool!.Links.Select(link => link.Outcomes).ToArray();
        Assert.True(outcomes[0].Late > 0 && outcomes[1].Hedged > 0, $"{outcomes[0].Late} late, {outcomes[1].Hedged} hedged");
        gate.SetResult();
        Assert.Equal(expected, OneStep.Logits(session));
    }

    private async Task<ClusterSession> StartAsync(bool replicated)
    {
        var options = new ClusterSessionOptions
        {
            StorePath = models.Golden("tiny-a"), WorkerAddresses = [_faulty.Address, _sound.Address.ToString()], Threads = 1, PipelineDepth = 1,
            Plan = PlanRequest.Parse("whole"), LostWorkerTimeout = TimeSpan.FromMilliseconds(200),
        };
        var session = await ClusterSession.StartAsync(options, _ => { }, CancellationToken.None);
        if (!replicated)
            return session;
        PlanFile.Save(_plan, session.Plan! with { Bundles = [.. session.Plan.Bundles.Select(bundle => bundle with { Workers = [.. bundle.Workers, .. session.Plan.HoldingWorkers().Except(bundle.Workers)] })] });
        await session.DisposeAsync();
        return await ClusterSession.StartAsync(options with { Plan = PlanRequest.Parse(_plan) }, _ => { }, CancellationToken.None);
    }

    /// <summary>From now on, for so many calls.</summary>
    private void Do(string fault, int times)
    {
        CallFailure.Types.Reason? reason = fault switch
        {
            "corrupt" => CallFailure.Types.Reason.Corrupt,
            "internal" => CallFailure.Types.Reason.Internal,
            "invalid" => CallFailure.Types.Reason.Invalid,
            "other weights" => CallFailure.Types.Reason.OtherWeights,
            "not held" => CallFailure.Types.Reason.NotHeld,
            _ => null,
        };
        var left = times;
        if (reason is not null)
            _faulty.Refuse = () => Interlocked.Decrement(ref left) >= 0 ? reason : null;
        else
            _faulty.Alter = result =>
            {
                if (Interlocked.Decrement(ref left) < 0)
                    return;
                var values = result.Values.ToByteArray();
                if (fault == "altered")
                {
                    values[3] ^= 1;
                }
                else
                {
                    // bfloat16, little endian: an infinity that was sent as it is.
                    (values[0], values[1]) = (0x80, 0x7F);
                    result.Checksum = Crc32C.Compute(values);
                }
                result.Values = ByteString.CopyFrom(values);
            };
    }
}
