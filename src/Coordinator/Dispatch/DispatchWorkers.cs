using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Coordinator.Workers.Health;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// One plan and the workers as dispatch uses them: by index, who is asked for a bundle, how to send, who is late. A flight keeps
/// to the plan it began with. Used by the engine's thread.
/// </summary>
internal sealed class DispatchWorkers
{
    /// <summary>How long a worker that lives may take for a call.</summary>
    public static readonly TimeSpan CallTimeout = TimeSpan.FromMinutes(2);

    private static readonly HashSet<WorkerConnection> Nobody = [];

    private readonly PlanLookup _plan;
    private readonly LayerRoutes?[] _layers;

    /// <summary>The same for batches of so many rows that the answers to whole routes would be too large.</summary>
    private readonly LayerRoutes?[] _layersOfMany;
    private readonly ulong _fingerprint;
    private readonly int _experts;
    private readonly int _width;

    /// <summary>Those that the plan names, by their index in it; then others, which a later plan may name. Nobody who is in it goes from it, as calls may be under way.</summary>
    private readonly List<WorkerLink?> _links;

    private long _version = -1;

    /// <param name="plan">Where every bundle is.</param>
    /// <param name="pool">The workers; not disposed.</param>
    /// <param name="fingerprint">The model's.</param>
    /// <param name="config">The model.</param>
    public DispatchWorkers(PlanLookup plan, WorkerPool pool, string fingerprint, Grok1Config config)
    {
        (_plan, Pool, _fingerprint, _experts, _width) = (plan, pool, ExpertMethods.ShortFingerprint(fingerprint), config.ExpertCount, config.EmbeddingDim);
        (_layers, _layersOfMany) = (new LayerRoutes?[config.LayerCount], new LayerRoutes?[config.LayerCount]);
        _links = [.. plan.Workers.Select(_ => (WorkerLink?)null)];
        LookForWorkers();
    }

    public Plan Plan => _plan.Plan;

    public WorkerPool Pool { get; }

    /// <summary>How many calls may be made beside late ones.</summary>
    public HedgeBudget Hedges { get; } = new();

    public TimeSpan Since(long timestamp) => Stopwatch.GetElapsedTime(timestamp);

    /// <summary>The workers by index; null where one was never there.</summary>
    public ReadOnlySpan<WorkerLink?> Links => CollectionsMarshal.AsSpan(_links);

    public ReadOnlySpan<PlacedBundle> Bundles(int layer) => _plan.Bundles(layer);

    /// <summary>The routes of a batch among the workers that are ready now; made again when something about them changed.</summary>
    public LayerRoutes Routes(ExpertBatch batch)
    {
        var routes = Routes(_layers, batch.Layer, int.MaxValue);
        return MostBundles(batch) is var most && routes.LargestRoute <= most ? routes : Routes(_layersOfMany, batch.Layer, most);
    }

    /// <summary>Bundles that one worker may be asked for at once: their sums have to fit into a message.</summary>
    public int MostBundles(ExpertBatch batch)
    {
        var bundle = (long)batch.Rows * _width * (batch.Input.Format == ActivationFormat.Float32 ? sizeof(float) : sizeof(ushort));
        return (int)Math.Max(1, (ExpertMethods.MaxMessageBytes - ResultFrame.MostBesideValues) / bundle);
    }

    private LayerRoutes Routes(LayerRoutes?[] known, int layer, int mostBundles)
    {
        if (known[layer] is { } routes && routes.Version == Pool.Version && routes.LargestRoute <= mostBundles)
            return routes;
        // The version first: a change after it is noticed the next time.
        var version = LookForWorkers();
        return known[layer] = new LayerRoutes(version, _plan.Bundles(layer), bundle => Choose(bundle, Nobody, null), _plan.Plan, _experts, mostBundles);
    }

    /// <summary>Who there is now.</summary>
    /// <returns>The version of the pool that is known from now on.</returns>
    public long LookForWorkers()
    {
        var version = Pool.Version;
        if (version == _version)
            return version;
        foreach (var link in Pool.Links)
            if (_plan.Workers.IndexOf(link.Id) is >= 0 and var named)
                _links[named] = link;
            else if (!_links.Contains(link))
                _links.Add(link);
        return _version = version;
    }

    /// <summary>The route of some bundles of a layer, in plan order.</summary>
    public WorkerRoute Route(int worker, IEnumerable<PlacedBundle> bundles) => new(worker, [.. bundles.OrderBy(bundle => bundle.Index)], _plan.Plan, _experts);

    /// <summary>The connection of a worker that is ready; null: it is not.</summary>
    public WorkerConnection? Connection(int worker) => _links[worker] is { IsReady: true } link ? link.Connection : null;

    /// <summary>Of a bundle's workers that are ready the first of the best standing; null where there is none.</summary>
    /// <param name="avoided">Connections that are not asked.</param>
    /// <param name="suspect">One that is asked only if there is no other.</param>
    public int? Choose(PlacedBundle bundle, IReadOnlySet<WorkerConnection> avoided, WorkerConnection? suspect)
    {
        int? chosen = null;
        var best = int.MaxValue;
        foreach (var worker in Candidates(bundle))
            if (_links[worker] is { } link && link.For(bundle.Bundle, Plan) is { } connection && !avoided.Contains(connection)
                && Rank(link, connection, suspect) is var rank && rank < best)
                (chosen, best) = (worker, rank);
        return chosen;
    }

    /// <summary>A worker other than the one that is asked already, well, ready for a bundle and with nothing else to do.</summary>
    public int? ChooseIdle(PlacedBundle bundle, WorkerConnection asked)
    {
        foreach (var worker in Candidates(bundle))
            if (_links[worker] is { Health.Standing: WorkerStanding.Healthy } link && link.For(bundle.Bundle, Plan) is { IsIdle: true } connection && connection != asked)
                return worker;
        return null;
    }

    /// <summary>Those that the plan names; when another plan holds by now, whoever holds the bundle's columns will do.</summary>
    private IEnumerable<int> Candidates(PlacedBundle bundle) =>
        ReferenceEquals(Pool.Plan, Plan) ? bundle.Workers : bundle.Workers.Concat(Enumerable.Range(0, _links.Count).Except(bundle.Workers));

    /// <summary>Sends a call that was filled.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Send(LayerFlight flight, WorkerCall call, WorkerConnection connection)
    {
        call.Frame.Weights = _fingerprint;
        call.Frame.TimeoutMs = (uint)CallTimeout.TotalMilliseconds;
        flight.Expect();
        call.Send(connection);
    }

    /// <summary>Sends the calls of a flight that was begun; a worker that was lost in between answers with a fault.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void SendAll(LayerFlight flight)
    {
        for (var route = 0; route < flight.Routes.Routes.Count; route++)
            if (flight.Calls[route] is var call && call.Fill(flight.Batch, flight.Routes.Routes[route]))
                Send(flight, call, _links[call.Route.Worker]!.Connection);
        flight.Sent();
        Hedges.Earn(flight.Routes.Routes.Count);
    }

    /// <summary>A call was answered soundly, and the answer is used.</summary>
    public void Learn(WorkerCall call)
    {
        var link = _links[call.Route.Worker]!;
        link.Outcomes.CountOk();
        if (link.Health.Answered(call.Rows, call.Elapsed))
            Pool.Reroute(link, "its answers are sound again");
    }

    /// <summary>A call failed; what the worker itself did wrong counts against it.</summary>
    public void Learn(WorkerCall call, CallFault fault)
    {
        var link = _links[call.Route.Worker]!;
        if (fault.Kind == CallFaultKind.Lost)
            link.Outcomes.CountLost();
        if (fault.Kind != CallFaultKind.Faulty)
            return;
        link.Outcomes.CountWrong();
        if (link.Health.Failed())
            Pool.Reroute(link, $"several answers were wrong, the last: {fault.Cause.Message}");
    }

    /// <summary>A call is overdue, and another worker is asked.</summary>
    public void GiveUp(WorkerCall call)
    {
        var link = _links[call.Route.Worker]!;
        link.Outcomes.CountOverdue();
        if (link.Health.Overdue())
            Pool.Reroute(link, $"no answer within {call.Waiting.TotalSeconds:0.0} s");
    }

    public bool IsLate(WorkerCall call) => Times(call).LateAfter(call.Rows) is { } late && call.Waiting >= late;

    public bool IsOverdue(WorkerCall call) => call.Waiting >= Times(call).OverdueAfter(call.Rows);

    /// <summary>How long a flight may take before its calls have to be looked at.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public TimeSpan Patience(LayerFlight flight)
    {
        var patience = CallTimeout;
        for (var route = 0; route < flight.Routes.Routes.Count; route++)
            if (flight.Calls[route] is { Rows: > 0 } call && (Times(call).LateAfter(call.Rows) ?? Times(call).OverdueAfter(call.Rows)) is var limit && limit < patience)
                patience = limit;
        return patience;
    }

    /// <summary>Counts the late calls of a flight in which nothing failed.</summary>
    /// <returns>Whether another worker can be asked for one of them now, or one is overdue.</returns>
    public bool NeedHelp(LayerFlight flight)
    {
        var help = false;
        for (var route = 0; route < flight.Routes.Routes.Count; route++)
            if (flight.Calls[route] is { Rows: > 0, IsEnded: false } call)
            {
                help |= IsOverdue(call);
                if (IsLate(call))
                    help |= NoteLate(call) && Hedges.HasOne && CanHedge(call);
            }
        return help;
    }

    /// <summary>Counts a late call once.</summary>
    /// <returns>True.</returns>
    public bool NoteLate(WorkerCall call)
    {
        if (!call.IsLate)
            Outcomes(call).CountLate();
        return call.IsLate = true;
    }

    public DispatchOutcomes Outcomes(WorkerCall call) => _links[call.Route.Worker]!.Outcomes;

    /// <summary>Since when all the workers of a bundle have been lost; null where one is there, or none ever was.</summary>
    public long? LostSince(PlacedBundle bundle)
    {
        long? since = null;
        foreach (var worker in bundle.Workers)
            if (_links[worker] is { } link)
            {
                if (link.Connection.LostAt is not { } lost)
                    return null;
                since = Math.Max(since ?? lost, lost);
            }
        return since;
    }

    /// <summary>How a worker is, for a message.</summary>
    public string Describe(int worker) => _links[worker]?.Describe() ?? $"worker {_plan.Workers[worker]} is not there";

    private static int Rank(WorkerLink link, WorkerConnection connection, WorkerConnection? suspect) =>
        (int)link.Health.Standing + (connection == suspect ? (int)WorkerStanding.Distrusted : 0);

    private CallTimes Times(WorkerCall call) => _links[call.Route.Worker]!.Health.Times;

    private bool CanHedge(WorkerCall call)
    {
        foreach (var bundle in call.Route.Bundles)
            if (ChooseIdle(bundle, call.Worker) is not null)
                return true;
        return false;
    }
}
