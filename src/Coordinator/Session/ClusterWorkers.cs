using System.Security.Authentication;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Coordinator.Local;
using Grok1Cluster.Coordinator.Operations;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Weights;
using Grok1Cluster.Weights.Serving;

namespace Grok1Cluster.Coordinator.Session;

/// <summary>
/// The experts of a model in worker processes: who is a member, who is connected, which plan holds, how calls are made, and how
/// all of it is changed. What it started it stops.
/// </summary>
public sealed class ClusterWorkers : IAsyncDisposable
{
    /// <summary>Spinning for an answer is for machines of their own; beside local workers it takes their cores.</summary>
    private static readonly TimeSpan DispatchSpin = TimeSpan.FromMicroseconds(50);

    /// <summary>How often a worker that was started here is asked before it counts as out of reach.</summary>
    private const int LocalAttempts = 3;

    /// <summary>Workers without work that a line names.</summary>
    private const int NamedIdle = 8;

    private readonly Stack<IAsyncDisposable> _owned = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly ClusterSessionOptions _options;
    private readonly ModelStore _store;
    private readonly PlanMaker _plans;
    private readonly Action<string> _note;
    private readonly HashSet<string> _told = [];

    private ClusterWorkers(ClusterSessionOptions options, ModelStore store, Action<string> note) =>
        (_options, _store, _plans, _note) = (options, store, new PlanMaker(options, store), note);

    /// <summary>Worker processes that were started here; null when there are none.</summary>
    public LocalWorkers? Local { get; private set; }

    public IMembership Membership { get; private set; } = null!;

    public WorkerPool Pool { get; private set; } = null!;

    public RemoteExpertDispatcher Dispatcher { get; private set; } = null!;

    public ClusterOperations Operations { get; private set; } = null!;

    /// <summary>Starts or connects to workers, agrees on a plan, and has them hold it.</summary>
    /// <param name="options">Which workers, which plan.</param>
    /// <param name="store">The model; not disposed.</param>
    /// <param name="pool">Adds replies; not disposed.</param>
    /// <param name="depth">Told how long calls take; null: nobody is.</param>
    /// <param name="note">Told what a person should know.</param>
    /// <param name="cancel">Gives up; nothing is left behind.</param>
    /// <inheritdoc cref="ClusterSession.StartAsync" path="/exception"/>
    public static async Task<ClusterWorkers> StartAsync(
        ClusterSessionOptions options, ModelStore store, ComputePool pool, PipelineDepth? depth, Action<string> note, CancellationToken cancel)
    {
        var workers = new ClusterWorkers(options, store, note);
        try
        {
            await workers.StartAsync(pool, depth, cancel);
            return workers;
        }
        catch
        {
            await workers.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        while (_owned.TryPop(out var item))
            await item.DisposeAsync();
        _closing.Dispose();
    }

    private async Task StartAsync(ComputePool pool, PipelineDepth? depth, CancellationToken cancel)
    {
        // First: workers without weights ask here before they are members.
        var weightAddress = await ServeWeightsAsync(cancel);
        Membership = Own(await OpenMembershipAsync(cancel));
        var connections = new List<WorkerConnection>();
        try
        {
            await ConnectAsync(connections, cancel);
            Pool = Own(new WorkerPool(await AgreeOnPlanAsync(connections, cancel), _store.Manifest.Fingerprint, connections));
        }
        catch
        {
            foreach (var connection in connections)
                await connection.DisposeAsync();
            throw;
        }
        Dispatcher = Own(new RemoteExpertDispatcher(
            _plans.Geometry, Pool, _store.Manifest.Fingerprint, _store.Config, pool, Local is null ? DispatchSpin : TimeSpan.Zero, _options.LostWorkerTimeout,
            _options.CompareEvery, new LocalArbiter(_store, pool))
        {
            Depth = depth,
        });
        var blocks = new ShareBlocks(_store, _plans.Geometry, new BlockHashes(_store, Tls));
        var weights = new WeightMovement(Pool, blocks, _options.Operations with { WeightAddress = weightAddress });
        if (_options.OpenMembership is null)
            await HoldAllAsync(weights, cancel);
        var watch = Own(new MemberWatch(Membership, Pool, Dispatcher, blocks, weights, _store.Manifest.Fingerprint, Tls, _note));
        Operations = new ClusterOperations(Membership, watch, Pool, weights, _plans, _closing.Token);
        if (Local is { } local)
        {
            Operations.Leaving += local.Forget;
            local.Supervise(ready =>
            {
                (Membership as StaticMembership)?.SetAddress(ready.Id, ready.Address);
                Pool.SetAddress(ready.Id, ready.Address);
            });
        }
        else if (_options.OpenMembership is not null && _options.Plan.Kind != PlanKind.File)
            _ = Own(new Arrivals(watch, Operations, _note));
    }

    /// <summary>Gives weights to workers that do not have them.</summary>
    /// <returns>Where; null: nowhere.</returns>
    private async Task<string?> ServeWeightsAsync(CancellationToken cancel)
    {
        if (_options.Operations.WeightListen is not { } listen)
            return null;
        var services = new GrpcServices();
        new WeightService(new LocalWeights(_store, null)).AddTo(services);
        var server = Own(await GrpcServer.StartAsync(services, new GrpcServerOptions
        {
            Listen = [listen],
            Tls = _options.Tls is { } tls ? tls.Server : null,
            Calls = new ServerCallOptions { Authorize = _options.Tls is null ? null : Permissions.Decide },
        }, cancel));
        var address = _options.Operations.WeightAddress ?? server.Addresses[0].ToString();
        _note($"workers may fetch weights from {address}");
        return address;
    }

    private async Task<IMembership> OpenMembershipAsync(CancellationToken cancel)
    {
        if (_options.OpenMembership is { } open)
            return await open(_plans.Geometry, cancel);
        if (_options.WorkerAddresses.Count > 0)
            return new StaticMembership(_options.WorkerAddresses);
        var plan = _plans.MakeLocal(WorkerIds.Numbered(_options.Workers));
        Local = Own(await LocalWorkers.StartAsync(_options, plan, _options.Threads ?? Environment.ProcessorCount, _note, cancel));
        var membership = new StaticMembership(Local.Ready.Select(worker => new WorkerMember(worker.Id, worker.Address)));
        await membership.TrySetPlanAsync(plan, null, cancel);
        return membership;
    }

    /// <summary>Everybody of a list that was given; of workers that register themselves, as many as are waited for.</summary>
    private async Task ConnectAsync(List<WorkerConnection> connections, CancellationToken cancel)
    {
        for (var told = -1; ; told = connections.Count)
        {
            await DropLostAsync(connections);
            foreach (var member in Membership.Workers)
                if (!member.Leaving && !connections.Exists(worker => worker.Address == member.Address))
                    await ConnectAsync(member, connections, cancel);
            // A first plan is not to be had without a worker for each copy.
            var least = Membership.Plan is null ? Math.Max(_options.LeastWorkers, _options.Copies) : _options.LeastWorkers;
            if (_options.OpenMembership is null || connections.Count >= least)
            {
                _options.Progress?.Waiting = null;
                return;
            }
            if (connections.Count != told)
            {
                var waiting = $"{connections.Count} of {least} workers are there; waiting for more";
                _options.Progress?.Waiting = waiting;
                _note(waiting);
            }
            await NewsAsync(cancel);
        }
    }

    /// <summary>Workers that register themselves may end, or be started again elsewhere, while others are waited for.</summary>
    private async Task DropLostAsync(List<WorkerConnection> connections)
    {
        if (_options.OpenMembership is null)
            return;
        var members = Membership.Workers;
        foreach (var lost in connections.FindAll(worker => worker.IsLost || !members.Any(member => !member.Leaving && member.Address == worker.Address)))
        {
            connections.Remove(lost);
            await lost.DisposeAsync();
        }
    }

    private async Task ConnectAsync(WorkerMember member, List<WorkerConnection> connections, CancellationToken cancel)
    {
        try
        {
            var worker = await ReachAsync(member, cancel);
            connections.Add(worker);
            if (connections.Find(other => other != worker && other.Id == worker.Id) is { } other)
                throw new PlanException($"workers at {other.Address} and {worker.Address}", [$"both call themselves {worker.Id}; give each its own --id"]);
            WorkerCoverage.CheckWeights(_store, worker);
        }
        catch (RpcException e)
        {
            var message = e.Code == GrpcStatusCode.FailedPrecondition ? e.Status.Message
                : Local is not null ? $"{member.Id}, which was started here, does not answer at {member.Address} ({e.Code}); its own lines may say why"
                : $"the worker at {member.Address} cannot be reached ({e.Code}: {e.Status.Message}); start it there, or correct the address{(e.Status.Message.Contains("refused", StringComparison.Ordinal) ? "" : Tls is null ? "; one that was started with --tls wants it here too" : "; one that was started without --tls wants none here")}";
            if (_options.OpenMembership is null)
                throw new DispatchException(message, e);
            Tell(message);
        }
        catch (Exception e) when (_options.OpenMembership is not null && e is AuthenticationException or ModelException or PlanException)
        {
            // Anybody may register: one that does not belong here keeps no coordinator from starting.
            Tell($"the worker at {member.Address} cannot be used: {e.Message}");
            if (connections.Find(worker => worker.Address == member.Address) is { } refused)
            {
                connections.Remove(refused);
                await refused.DisposeAsync();
            }
        }
    }

    /// <summary>Each thing once, however often a worker is tried while others are waited for.</summary>
    private void Tell(string what)
    {
        if (_told.Add(what))
            _note(what);
    }

    /// <summary>
    /// Connects. A worker that was started here has said that it listens: where the machine is so busy that pings go unanswered, it is
    /// asked again. At an address that was given there may be nobody, which is said at once.
    /// </summary>
    private async Task<WorkerConnection> ReachAsync(WorkerMember member, CancellationToken cancel)
    {
        for (var left = LocalAttempts - 1; ; left--)
            try
            {
                return await WorkerConnection.ConnectAsync(member.Address, Tls, member.Id, cancel);
            }
            catch (RpcException e) when (Local is not null && left > 0 && e.Code is (GrpcStatusCode.Unavailable or GrpcStatusCode.DeadlineExceeded))
            {
                _note($"{member.Id} does not answer yet ({e.Code})");
            }
    }

    /// <summary>The plan that the cluster has; where there is none, one for those who are connected.</summary>
    private async Task<Plan> AgreeOnPlanAsync(IReadOnlyList<WorkerConnection> connections, CancellationToken cancel)
    {
        var isForThese = Local is not null;
        while (Membership.Plan is null)
        {
            var plan = _plans.Make([.. connections.OrderBy(worker => worker.Id, StringComparer.Ordinal)]);
            isForThese = await Membership.TrySetPlanAsync(plan, null, cancel);
            if (!isForThese && Membership.Plan is null)
                await NewsAsync(cancel);
        }
        var agreed = Membership.Plan.Plan;
        var idle = connections.Select(worker => worker.Id).Except(agreed.HoldingWorkers()).Order(StringComparer.Ordinal).ToList();
        if (idle.Count > 0)
            _note($"{idle.Count} of {connections.Count} workers hold nothing: {WhyIdle(idle, isForThese)}");
        await Membership.AcknowledgeAsync(agreed.Epoch, cancel);
        return agreed;
    }

    /// <param name="isForThese">Whether the plan was made or read for the workers that are connected; else it was there before.</param>
    private string WhyIdle(IReadOnlyList<string> idle, bool isForThese) =>
        isForThese && _options.Plan.Kind != PlanKind.File ? "there are not more pieces"
        : $"the {(isForThese ? "plan file" : "cluster's plan")} gives nothing to {string.Join(", ", idle.Take(NamedIdle))}{(idle.Count > NamedIdle ? " and others" : "")}";

    /// <summary>Workers that were named are there, so each must hold its share before anything is served.</summary>
    private async Task HoldAllAsync(WeightMovement weights, CancellationToken cancel)
    {
        try
        {
            await weights.HoldAsync(Pool.Plan, (_, _) => { }, cancel);
        }
        catch (OperationException e)
        {
            _note(e.Message);
        }
        WorkerCoverage.Check(Pool.Plan, [.. Pool.Links.Select(link => link.Connection)]);
    }

    /// <summary>Completes when something about the members changed, or after a second.</summary>
    private async Task NewsAsync(CancellationToken cancel)
    {
        var news = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Tell() => news.TrySetResult();
        Membership.Changed += Tell;
        try
        {
            await news.Task.WaitAsync(TimeSpan.FromSeconds(1), cancel);
        }
        catch (TimeoutException)
        {
            // A worker that could not be reached is tried again.
        }
        finally
        {
            Membership.Changed -= Tell;
        }
    }

    /// <summary>Workers that were started here stay on this machine.</summary>
    private NodeCredentials? Tls => Local is null ? _options.Tls : null;

    private T Own<T>(T item) where T : IAsyncDisposable
    {
        _owned.Push(item);
        return item;
    }
}
