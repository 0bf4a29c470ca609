using System.Net;
using System.Net.Sockets;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Operations;

/// <summary>Workers that register themselves while the plan is made anew for others.</summary>
public sealed class ArrivalTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Fact]
    public async Task A_worker_that_comes_too_late_for_a_plan_that_is_being_exchanged_has_a_part_in_the_next()
    {
        var membership = default(HeldMembership)!;
        await using var cluster = await ElasticCluster.StartAsync(models.Golden("tiny-a"), "sliced", there => membership = new HeldMembership(there), "worker-0");
        membership.HoldsExchanges = true;
        await cluster.StartWorkerAsync("worker-1");
        await membership.AddWorkerAsync(cluster.Address("worker-1"), CancellationToken.None);
        await membership.Exchanging.WaitAsync(Grok1Process.DefaultTimeout);

        await cluster.StartWorkerAsync("worker-2");
        await membership.AddWorkerAsync(cluster.Address("worker-2"), CancellationToken.None);
        await cluster.UntilAsync(pool => pool.Find("worker-2") is { IsReady: true });
        // Whoever is looked at again was told of before.
        await membership.LookedAtAsync();
        var third = membership.UntilPlanNamesAsync("worker-2");
        membership.Release();
        await third.WaitAsync(Grok1Process.DefaultTimeout);
        var plan = membership.Plan!.Plan;
        Assert.Equal(3, plan.Epoch);
        Assert.Equal(["worker-0", "worker-1", "worker-2"], plan.HoldingWorkers().Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_member_that_does_not_answer_holds_nobody_else_up()
    {
        var membership = default(StaticMembership)!;
        await using var cluster = await ElasticCluster.StartAsync(models.Golden("tiny-a"), "sliced", there => membership = there, "worker-0");
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        await membership.AddWorkerAsync(silent.LocalEndpoint.ToString()!, CancellationToken.None);
        using var asked = await silent.AcceptTcpClientAsync().WaitAsync(Grok1Process.DefaultTimeout);
        var givenUp = asked.GetStream().CopyToAsync(Stream.Null);

        await cluster.StartWorkerAsync("worker-1");
        await membership.AddWorkerAsync(cluster.Address("worker-1"), CancellationToken.None);
        await cluster.UntilAsync(pool => pool.Find("worker-1") is { IsReady: true });
        Assert.False(givenUp.IsCompleted);
    }

    /// <summary>A list of workers, and exchanges of its plan that last until they are told to end.</summary>
    private sealed class HeldMembership(StaticMembership there) : IMembership
    {
        private readonly TaskCompletionSource _exchanging = New(), _released = New();
        private TaskCompletionSource _looked = New();

        public bool HoldsExchanges { get; set; }

        /// <summary>Completes when somebody exchanges the plan.</summary>
        public Task Exchanging => _exchanging.Task;

        public IReadOnlyList<WorkerMember> Workers
        {
            get
            {
                _looked.TrySetResult();
                return there.Workers;
            }
        }

        public PlanRecord? Plan => there.Plan;

        public bool IsConnected => there.IsConnected;

        public event Action? Changed
        {
            add => there.Changed += value;
            remove => there.Changed -= value;
        }

        public void Release() => _released.SetResult();

        /// <summary>Completes when the workers were looked at from now on.</summary>
        public async Task LookedAtAsync()
        {
            _looked = New();
            // News that changes nothing.
            await there.RemoveWorkerAsync("nobody:1", CancellationToken.None);
            await _looked.Task.WaitAsync(Grok1Process.DefaultTimeout);
        }

        public async Task UntilPlanNamesAsync(string worker)
        {
            var named = New();
            void Look()
            {
                if (there.Plan?.Plan.NamedWorkers().Contains(worker) is true)
                    named.TrySetResult();
            }
            there.Changed += Look;
            Look();
            await named.Task;
            there.Changed -= Look;
        }

        public Task AddWorkerAsync(string address, CancellationToken cancel) => there.AddWorkerAsync(address, cancel);

        public Task RemoveWorkerAsync(string address, CancellationToken cancel) => there.RemoveWorkerAsync(address, cancel);

        public async Task<bool> TrySetPlanAsync(Plan next, PlanRecord? expected, CancellationToken cancel)
        {
            if (HoldsExchanges)
            {
                _exchanging.TrySetResult();
                await _released.Task.WaitAsync(cancel);
            }
            return await there.TrySetPlanAsync(next, expected, cancel);
        }

        public Task AcknowledgeAsync(long epoch, CancellationToken cancel) => there.AcknowledgeAsync(epoch, cancel);

        public Task WaitForAcknowledgementsAsync(long epoch, CancellationToken cancel) => there.WaitForAcknowledgementsAsync(epoch, cancel);

        public Task<IAsyncDisposable> LockAsync(string operation, CancellationToken cancel) => there.LockAsync(operation, cancel);

        public ValueTask DisposeAsync() => there.DisposeAsync();

        private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
