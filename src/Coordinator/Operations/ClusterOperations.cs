using System.Security.Authentication;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Coordinator.Operations;

/// <summary>
/// Changes of a running cluster. Each is the same three steps: workers bring into memory what the next plan gives them, beside
/// what they hold; the plan is exchanged, and every coordinator finishes its calls by the old one; workers let go of the rest.
/// So every call finds its tiles at every moment. One change at a time, over all coordinators. Thread-safe.
/// </summary>
public sealed class ClusterOperations
{
    private readonly IMembership _membership;
    private readonly MemberWatch _watch;
    private readonly WorkerPool _pool;
    private readonly WeightMovement _weights;
    private readonly PlanMaker _plans;
    private readonly CancellationToken _closing;

    internal ClusterOperations(IMembership membership, MemberWatch watch, WorkerPool pool, WeightMovement weights, PlanMaker plans, CancellationToken closing) =>
        (_membership, _watch, _pool, _weights, _plans, _closing) = (membership, watch, pool, weights, plans, closing);

    /// <summary>How far the change under way is; null: there is none, or it failed.</summary>
    public OperationProgress? Progress { get; private set; }

    /// <summary>A worker is about to be told to end for good.</summary>
    public event Action<string>? Leaving;

    /// <summary>The same plan with one bundle at another worker, copied while calls go on.</summary>
    /// <param name="bundle">Its place among the bundles of the layer.</param>
    /// <exception cref="OperationException">It was not moved.</exception>
    public Task MoveAsync(int layer, int bundle, string from, string to, Action<OperationProgress> progress)
    {
        // From one that is lost a bundle may be taken.
        if (_pool.Find(to) is null)
            throw NoWorker(to, "to");
        return ChangeAsync($"move layer {layer} bundle {bundle} from {from} to {to}", plan => PlanChanges.Move(plan, layer, bundle, from, to), progress);
    }

    /// <summary>Another plan, which may cut the experts elsewhere.</summary>
    /// <param name="plan">Of <see cref="Read"/>; the epoch in it does not count.</param>
    /// <exception cref="OperationException">It does not hold.</exception>
    public Task ApplyAsync(Plan plan, Action<OperationProgress> progress) => ChangeAsync("apply a plan", _ => plan, progress);

    /// <summary>A plan that somebody sent.</summary>
    /// <param name="json">As <see cref="PlanJson"/> has it.</param>
    /// <exception cref="PlanException">It is malformed, or does not fit the model.</exception>
    public Plan Read(ReadOnlySpan<byte> json) => _plans.Read(json);

    /// <summary>The plan made anew for the workers that are connected.</summary>
    /// <exception cref="OperationException">It does not hold.</exception>
    public Task RebalanceAsync(Action<OperationProgress> progress) => ChangeAsync("rebalance", _ => _plans.Make(Connected()), progress);

    /// <summary>Takes a worker in and gives it its part.</summary>
    /// <param name="address">Its gRPC address.</param>
    /// <exception cref="OperationException">It cannot be reached, or the plan does not hold.</exception>
    public async Task JoinAsync(string address, Action<OperationProgress> progress)
    {
        try
        {
            await _watch.ConnectAsync(address, _closing);
            await _membership.AddWorkerAsync(address, _closing);
        }
        catch (Exception e) when (e is RpcException or MembershipException or AuthenticationException)
        {
            throw new OperationException($"the worker at {address} cannot join: {(e as RpcException)?.Status.Message ?? e.Message}", e);
        }
        await RebalanceAsync(progress);
    }

    /// <summary>Gives what a worker holds to others, and ends it.</summary>
    /// <exception cref="OperationException">It was not drained.</exception>
    public async Task DrainAsync(string worker, Action<OperationProgress> progress)
    {
        if (_pool.Find(worker) is not { } link)
            throw NoWorker(worker, "worker");
        var address = link.Connection.Address;
        // It may be drained already, and this be refused for that.
        var wasLeaving = link.Connection.IsLeaving;
        link.Connection.IsLeaving = true;
        try
        {
            await ChangeAsync($"drain {worker}", plan => PlanChanges.Without(plan, worker, _plans.Capacities(Connected()), _plans.BytesPerColumn), progress);
        }
        catch
        {
            link.Connection.IsLeaving = wasLeaving;
            throw;
        }
        Leaving?.Invoke(worker);
        try
        {
            if (link.IsReady)
                await link.Connection.LeaveAsync(_closing);
        }
        catch (RpcException)
        {
            // It is gone already.
        }
        try
        {
            await _membership.RemoveWorkerAsync(address, _closing);
        }
        catch (MembershipException e)
        {
            throw new OperationException($"worker {worker} holds nothing any more and was told to end, but is a member still: {e.Message}", e);
        }
        await _pool.RemoveAsync(link);
    }

    private OperationException NoWorker(string id, string argument) =>
        new($"there is no worker {id}; there are {string.Join(", ", _pool.Links.Select(link => link.Id).Order(StringComparer.Ordinal))}") { Argument = argument };

    private IReadOnlyList<WorkerConnection> Connected() => [.. _pool.Links.Where(link => link.IsReady).Select(link => link.Connection).OrderBy(worker => worker.Id, StringComparer.Ordinal)];

    private async Task ChangeAsync(string operation, Func<Plan, Plan> change, Action<OperationProgress> progress)
    {
        var begun = false;
        try
        {
            await using var held = await _membership.LockAsync(operation, _closing);
            var before = _membership.Plan ?? throw new OperationException("the cluster has no plan yet; wait until it is ready");
            var next = change(before.Plan) with { Epoch = before.Plan.Epoch + 1 };
            await ExchangeAsync(operation, before, next, Report);
        }
        catch (Exception e) when (e is MembershipException or PlanException)
        {
            throw new OperationException($"{operation}: {e.Message}", e) { Argument = (e as PlanException)?.Argument };
        }
        finally
        {
            // Not of another change, which this one was refused for.
            if (begun)
                Progress = null;
        }

        void Report(OperationProgress at)
        {
            begun = true;
            Progress = at;
            progress(at);
        }
    }

    private async Task ExchangeAsync(string operation, PlanRecord before, Plan next, Action<OperationProgress> report)
    {
        var total = 0L;
        var exchanging = false;
        try
        {
            await _weights.HoldAsync(next, (done, all) => report(new OperationProgress(operation, OperationPhase.Holding, done, total = all)), _closing);
            report(new OperationProgress(operation, OperationPhase.Switching, total, total));
            exchanging = true;
            exchanging = await _membership.TrySetPlanAsync(next, before, _closing);
            if (!exchanging)
                throw new OperationException($"{operation}: the plan was changed by somebody else meanwhile; look at it, then try again");
        }
        catch
        {
            // What was brought in for the plan that did not come, unless another that came instead needs it; one whose answer alone did not come may hold.
            if (!exchanging)
                await _weights.ReleaseAsync(next, [before.Plan, _membership.Plan?.Plan ?? before.Plan], _closing);
            throw;
        }
        await _watch.WaitForPlanAsync(next.Epoch, _closing);
        await _membership.WaitForAcknowledgementsAsync(next.Epoch, _closing);
        report(new OperationProgress(operation, OperationPhase.Releasing, total, total));
        await _weights.ReleaseAsync(before.Plan, [next], _closing);
        report(new OperationProgress(operation, OperationPhase.Done, total, total));
    }
}
