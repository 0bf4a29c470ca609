using System.Diagnostics;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Coordinator.Workers.Health;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// Calls that nobody waits for, one at a time: what one worker answered is asked of another. One call in a thousand, to find a
/// worker that computes something wrong with a right checksum; and of a worker that is not relied on, to see whether it is
/// well again. Used by the engine's thread.
/// </summary>
internal sealed class ShadowCalls
{
    /// <summary>Without an answer for so long there will be none.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    /// <summary>A probe may take so many times as long as the call that was relied on, and this much more.</summary>
    private const double QuickFactor = 2;

    private static readonly TimeSpan QuickMargin = TimeSpan.FromMilliseconds(1);

    private readonly DispatchWorkers _workers;
    private readonly SlownessReview _review;
    private readonly LayerFlight _flight;
    private readonly LocalArbiter? _arbiter;
    private readonly long _every;
    private readonly ExpectedReply _expected = new();
    private readonly Dictionary<(int Layer, int Worker, int Other), WorkerRoute> _routes = [];
    private long _routesVersion = -1;
    private WorkerCall? _call;
    private ShadowPurpose _purpose;
    private int _relied;
    private int _asked;
    private TimeSpan _reliedTime;
    private byte[] _second = [];
    private long _calls;
    private int _turn;

    /// <param name="workers">Who may be asked.</param>
    /// <param name="review">Says who should be tried.</param>
    /// <param name="width">EmbeddingDim.</param>
    /// <param name="every">Of so many calls one is compared; 0: none.</param>
    /// <param name="arbiter">Says who is right where there is no third worker; null: nobody does.</param>
    public ShadowCalls(DispatchWorkers workers, SlownessReview review, int width, int every, LocalArbiter? arbiter) =>
        (_workers, _review, _flight, _every, _arbiter) = (workers, review, new LayerFlight(width, TimeSpan.Zero), every, arbiter);

    /// <summary>A flight was completed, and its answers are still there.</summary>
    public void Observe(LayerFlight flight)
    {
        _calls += flight.Routes.Routes.Count;
        if (_call is { } call)
        {
            if (call.IsEnded)
                Take(call);
            else if (call.Waiting > Limit)
                GiveUp(call);
            return;
        }
        if (_review.ProbeDue is { } worker)
            Probe(flight, worker);
        else if (_every > 0 && _calls >= _every)
            Compare(flight);
    }

    /// <summary>Nobody looks at the call under way any more: another plan holds.</summary>
    public void End()
    {
        if (_call is { IsEnded: true } ended)
            ended.Release();
        else if (_call is { } call)
            GiveUp(call);
        _call = null;
    }

    private void Probe(LayerFlight flight, int worker)
    {
        if (_workers.Connection(worker) is { } connection && _workers.Links[worker]!.Health.IsProbeDue
            && Route(flight, worker, worker, source => source.Call!.Route.Worker != worker) is { } route)
            Send(flight, route, connection, ShadowPurpose.Probe);
    }

    private void Compare(LayerFlight flight)
    {
        _calls = 0;
        if (flight.Routes.Routes.Count == 0)
            return;
        var route = flight.Routes.Routes[_turn++ % flight.Routes.Routes.Count];
        if (OtherOf(route) is not { } other || _workers.Connection(other) is not { } connection)
            return;
        if (Route(flight, route.Worker, other, source => source.Call!.Route.Worker == route.Worker) is { } asked)
            Send(flight, asked, connection, ShadowPurpose.Compare);
    }

    /// <summary>A worker that would answer some of a route's bundles with the same bits.</summary>
    private int? OtherOf(WorkerRoute route)
    {
        foreach (var bundle in route.Bundles)
            foreach (var worker in bundle.Workers)
                if (worker != route.Worker && IsAlike(worker, route.Worker) && _workers.Links[worker] is { Health.Standing: WorkerStanding.Healthy or WorkerStanding.Demoted } link && link.For(bundle.Bundle, _workers.Plan) is not null)
                    return worker;
        return null;
    }

    private bool IsAlike(int worker, int other) =>
        _workers.Links[worker]?.Connection.Description.KernelId is { } kernel && kernel == _workers.Links[other]?.Connection.Description.KernelId;

    /// <summary>What a worker is asked for beside a flight: its bundles of the layer that others answered.</summary>
    private WorkerRoute? Route(LayerFlight flight, int worker, int asked, Func<BundleSource, bool> counts)
    {
        if (_routesVersion != _workers.Pool.Version)
        {
            _routes.Clear();
            _routesVersion = _workers.Pool.Version;
        }
        var key = (flight.Batch.Layer, worker, asked);
        if (_routes.TryGetValue(key, out var route))
            return route.Bundles.All(bundle => flight.Sources[bundle.Index] is { Call.Result: not null } source && counts(source)) ? route : null;
        var bundles = new List<PlacedBundle>();
        foreach (var bundle in _workers.Bundles(flight.Batch.Layer))
            if (bundle.Workers.Contains(asked) && _workers.Links[asked]?.Connection is { IsLost: false }
                && flight.Sources[bundle.Index] is { Call.Result: not null } source && counts(source))
                bundles.Add(bundle);
        return bundles.Count == 0 ? null : _routes[key] = _workers.Route(asked, bundles);
    }

    private void Send(LayerFlight flight, WorkerRoute route, WorkerConnection connection, ShadowPurpose purpose)
    {
        var call = new WorkerCall(_flight);
        if (!call.Fill(flight.Batch, route))
            return;
        _expected.Take(flight, call);
        (_call, _purpose, _asked) = (call, purpose, route.Worker);
        (_relied, _reliedTime) = (flight.Sources[route.Bundles[0].Index].Call!.Route.Worker, TimeSpan.Zero);
        foreach (var bundle in route.Bundles)
            if (flight.Sources[bundle.Index].Call is { } source && source.Elapsed > _reliedTime)
                _reliedTime = source.Elapsed;
        _workers.Send(_flight, call, connection);
    }

    private void Take(WorkerCall call)
    {
        _call = null;
        var link = _workers.Links[_asked]!;
        if (call.Fault is { } fault)
        {
            _workers.Learn(call, fault);
            return;
        }
        if (_purpose == ShadowPurpose.Third)
        {
            Decide(call.Result!.Values, $"worker {call.Worker.Id}");
            call.Release();
            return;
        }
        if (_purpose == ShadowPurpose.Probe && link.Health.Probed(call.Elapsed <= QuickFactor * _reliedTime + QuickMargin))
            _workers.Pool.Reroute(link, link.Health.Standing == WorkerStanding.Healthy ? "its answers to probes are sound and quick" : "its answers to probes are sound");
        if (IsAlike(_asked, _relied))
            Check(call);
        else
            call.Release();
    }

    private void Check(WorkerCall call)
    {
        var (first, second) = (_workers.Links[_relied]!, _workers.Links[_asked]!);
        first.Outcomes.CountCompared();
        second.Outcomes.CountCompared();
        if (_expected.IsSame(call.Result!.Values))
        {
            call.Release();
            return;
        }
        first.Outcomes.CountDiffered();
        second.Outcomes.CountDiffered();
        _second = call.Result!.Values.ToArray();
        call.Release();
        if (ThirdFor(call.Route) is { } third && _workers.Connection(third) is { } connection)
        {
            call.Reroute(_workers.Route(third, call.Route.Bundles));
            (_call, _purpose) = (call, ShadowPurpose.Third);
            _workers.Send(_flight, call, connection);
            return;
        }
        if (_arbiter is not null && LocalArbiter.IsLike(second.Connection.Description.KernelId) && _arbiter.Answer(call) is { } own)
            Decide(own, "this coordinator");
        else
            _workers.Pool.Differ(first, second, "nobody else has the same weights to decide who is right");
    }

    private int? ThirdFor(WorkerRoute route)
    {
        for (var worker = 0; worker < _workers.Links.Length; worker++)
            if (worker != _relied && worker != _asked && IsAlike(worker, _asked) && _workers.Links[worker] is { IsReady: true } link
                && route.Bundles.All(bundle => bundle.Workers.Contains(worker) && link.For(bundle.Bundle, _workers.Plan) is not null))
                return worker;
        return null;
    }

    private void Decide(ReadOnlySpan<byte> third, string who)
    {
        var (first, second) = (_workers.Links[_relied]!, _workers.Links[_asked]!);
        var wrong = _expected.IsSame(third) ? second : third.SequenceEqual(_second) ? first : null;
        _workers.Pool.Differ(first, second, wrong is null ? $"{who} has a third result" : $"{who} agrees with {(wrong == first ? second : first).Id}: {wrong.Id} is not asked any more until it is started again");
        if (wrong?.Health.Distrust() == true)
            _workers.Pool.Reroute(wrong, "it computed something else than two others");
    }

    private void GiveUp(WorkerCall call)
    {
        _call = null;
        call.Worker.Abandon(call);
        if (_purpose == ShadowPurpose.Probe)
            _workers.Links[_asked]!.Health.Missed();
    }

    /// <summary>Why a worker is asked.</summary>
    private enum ShadowPurpose
    {
        /// <summary>Whether two workers compute the same.</summary>
        Compare,

        /// <summary>Which of two that did not.</summary>
        Third,

        /// <summary>Whether a worker is well again.</summary>
        Probe,
    }
}
