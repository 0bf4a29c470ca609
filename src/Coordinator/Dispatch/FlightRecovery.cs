using System.Diagnostics;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine.Dispatch;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// Sees a flight to its end in which a call failed or is late, or for which a worker was missing from the start. Each bundle
/// is asked for again, of another worker that holds it or of the same when it is back, until one call has answered it; that
/// answer then stands at the bundle's place in the plan, so that the sum is that of an undisturbed flight. Runs on the
/// engine's thread. A flight that needs none of this never comes here.
/// </summary>
/// <param name="flight">Not used for another batch afterwards.</param>
/// <param name="limit">How long bundles may be without a worker, from when the last one that has them was lost.</param>
internal sealed class FlightRecovery(LayerFlight flight, TimeSpan limit)
{
    /// <summary>How often clocks are looked at; whatever else happens wakes the thread.</summary>
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(20);

    private readonly DispatchWorkers _workers = flight.Workers;
    private readonly List<Attempt> _attempts = [];
    private readonly List<Pending> _pending = [];

    /// <summary>Every call that was made, answered or not.</summary>
    public IEnumerable<WorkerCall> Calls => _attempts.Select(attempt => attempt.Call);

    /// <summary>Returns when every bundle that a token needs has its source.</summary>
    /// <exception cref="DispatchException">One cannot be computed.</exception>
    public void Run(CancellationToken cancel)
    {
        Adopt();
        while (true)
        {
            flight.Disturb();
            TakeEnded();
            if (_pending.Count == 0)
                return;
            _workers.LookForWorkers();
            AskForUnserved();
            AskForLate();
            flight.Wait(Tick, cancel);
        }
    }

    /// <summary>Gives up what has not ended, because it is not needed any more or all is lost.</summary>
    public void Abandon()
    {
        foreach (var attempt in _attempts)
            if (!attempt.Call.IsEnded)
                attempt.Call.Worker.Abandon(attempt.Call);
    }

    /// <summary>Takes over the calls that were made, and notes what is needed.</summary>
    private void Adopt()
    {
        foreach (var bundle in _workers.Bundles(flight.Batch.Layer))
            if (IsNeeded(bundle))
                _pending.Add(new Pending(bundle));
            else
                flight.SetSource(bundle.Index, default);
        for (var route = 0; route < flight.Routes.Routes.Count; route++)
            if (flight.Calls[route] is { Rows: > 0 } call)
                Track(call, _pending.Where(pending => call.Route.Place(pending.Bundle) is not null));
    }

    private bool IsNeeded(PlacedBundle bundle)
    {
        foreach (var expert in flight.Batch.Experts)
            if (bundle.Experts.Contains(expert))
                return true;
        return false;
    }

    private void Track(WorkerCall call, IEnumerable<Pending> bundles)
    {
        var attempt = new Attempt(call, [.. bundles]);
        foreach (var pending in attempt.Bundles)
        {
            pending.Open++;
            pending.CountedOn++;
        }
        _attempts.Add(attempt);
    }

    /// <summary>The first answer to a bundle counts.</summary>
    private void TakeEnded()
    {
        foreach (var attempt in _attempts)
        {
            if (attempt.IsTaken || !attempt.Call.IsEnded)
                continue;
            attempt.IsTaken = true;
            foreach (var pending in attempt.Bundles)
            {
                pending.Open--;
                if (!attempt.IsGivenUp)
                    pending.CountedOn--;
                if (attempt.Call.Fault is { } fault)
                    pending.Failed(attempt.Call.Worker, fault);
                else if (_pending.Remove(pending))
                    flight.SetSource(pending.Bundle.Index, new BundleSource(attempt.Call, attempt.Call.Route.Place(pending.Bundle)!.Value));
            }
            if (attempt.Call.Fault is { } failed)
                _workers.Learn(attempt.Call, failed);
            else
                _workers.Learn(attempt.Call);
        }
    }

    private void AskForUnserved()
    {
        var unserved = _pending.Where(pending => pending.Open == 0).ToList();
        if (unserved.Count == 0)
            return;
        if (unserved.FirstOrDefault(pending => pending.MustEnd) is { } hopeless)
            throw hopeless.LastFault!.Cause;
        foreach (var (worker, bundles) in Deal(unserved, pending => _workers.Choose(pending.Bundle, pending.Avoided, pending.Suspect)))
            if (Send(worker, bundles) is { } call)
                _workers.Outcomes(call).CountRetried();
        foreach (var pending in unserved)
            pending.NoteService(_workers.LostSince(pending.Bundle));
        unserved.RemoveAll(pending => pending.UnservedSince is null);
        if (unserved.Any(pending => _workers.Since(pending.UnservedSince!.Value) >= limit))
            throw new DispatchException(Missing(unserved), unserved.Select(pending => pending.LastFault?.Cause).FirstOrDefault(cause => cause is not null));
    }

    /// <summary>
    /// A late call goes on; beside it, a replica that has nothing to do is asked for the same, as far as the budget goes. An
    /// overdue one is not counted on any more: whoever else has its bundles is asked.
    /// </summary>
    private void AskForLate()
    {
        foreach (var attempt in _attempts.ToArray())
        {
            if (attempt.IsTaken || attempt.Call.IsEnded)
                continue;
            var asked = attempt.Call.Worker;
            if (attempt.Call.Waiting >= DispatchWorkers.CallTimeout)
                throw new DispatchException($"no answer for layer {flight.Batch.Layer} within {DispatchWorkers.CallTimeout.TotalSeconds:0} s from worker {asked.Id} at {asked.Address}");
            if (_workers.IsOverdue(attempt.Call))
                Replace(attempt);
            else if (_workers.IsLate(attempt.Call) && _workers.NoteLate(attempt.Call) && _workers.Hedges.HasOne)
                Hedge(attempt, asked);
        }
    }

    private void Hedge(Attempt attempt, WorkerConnection asked)
    {
        foreach (var (worker, bundles) in Deal(attempt.Bundles.Where(pending => !pending.IsHedged && _pending.Contains(pending)), pending => _workers.ChooseIdle(pending.Bundle, asked)))
            if (_workers.Hedges.TryTake() && Send(worker, bundles) is { } call)
            {
                _workers.Outcomes(call).CountHedged();
                foreach (var pending in bundles)
                    pending.IsHedged = true;
            }
    }

    private void Replace(Attempt attempt)
    {
        attempt.GiveUp();
        // Whoever was given up too, because it was asked beside the first or in its place, is not asked again.
        var others = Deal(attempt.Bundles.Where(pending => pending.CountedOn == 0 && _pending.Contains(pending)),
            pending => _workers.Choose(pending.Bundle, new HashSet<WorkerConnection>([.. pending.Avoided, .. pending.GivenUp]), pending.Suspect));
        if (others.Count > 0)
            _workers.GiveUp(attempt.Call);
        foreach (var (worker, bundles) in others)
            if (Send(worker, bundles) is { } call)
                _workers.Outcomes(call).CountRetried();
    }

    /// <summary>Bundles by the worker that is chosen for them; those that nobody is chosen for wait.</summary>
    private List<(int Worker, Pending[] Bundles)> Deal(IEnumerable<Pending> bundles, Func<Pending, int?> choose) =>
        [.. bundles.Select(pending => (Pending: pending, Worker: choose(pending))).Where(pair => pair.Worker is not null)
            .GroupBy(pair => pair.Worker!.Value, pair => pair.Pending)
            .SelectMany(group => group.Chunk(_workers.MostBundles(flight.Batch)).Select(part => (group.Key, part)))];

    /// <summary>Null when the worker was lost in between.</summary>
    private WorkerCall? Send(int worker, IReadOnlyList<Pending> bundles)
    {
        if (_workers.Connection(worker) is not { } connection)
            return null;
        var call = new WorkerCall(flight);
        call.Fill(flight.Batch, _workers.Route(worker, bundles.Select(pending => pending.Bundle)));
        Track(call, bundles);
        _workers.Send(flight, call, connection);
        return call;
    }

    private string Missing(IReadOnlyList<Pending> unserved)
    {
        var names = unserved.SelectMany(pending => pending.Bundle.Workers).Distinct().Select(_workers.Describe).ToList();
        return $"{TileNames.Describe(unserved.SelectMany(pending => pending.Bundle.Bundle.Tiles))} had no worker for {limit.TotalSeconds:0.#} s: "
            + $"{string.Join(", ", names)}; start {(names.Count == 1 ? "it" : "one of them")} again";
    }

    /// <summary>A call and the bundles it is to answer.</summary>
    private sealed class Attempt(WorkerCall call, IReadOnlyList<Pending> bundles)
    {
        public WorkerCall Call => call;

        public IReadOnlyList<Pending> Bundles => bundles;

        /// <summary>Whether its end was looked at.</summary>
        public bool IsTaken { get; set; }

        /// <summary>Whether it is overdue: its answer is taken, but not counted on.</summary>
        public bool IsGivenUp { get; private set; }

        public void GiveUp()
        {
            if (IsGivenUp)
                return;
            IsGivenUp = true;
            foreach (var pending in bundles)
            {
                pending.CountedOn--;
                pending.GivenUp.Add(call.Worker);
            }
        }
    }

    /// <summary>A bundle without an answer.</summary>
    private sealed class Pending(PlacedBundle bundle)
    {
        /// <summary>A fault may be chance once, not twice.</summary>
        private const int MostFaults = 2;

        private readonly HashSet<WorkerConnection> _avoided = [];
        private int _faults;

        public PlacedBundle Bundle => bundle;

        /// <summary>Calls for it that have not ended.</summary>
        public int Open { get; set; }

        /// <summary>Of those, calls that are not overdue.</summary>
        public int CountedOn { get; set; }

        /// <summary>Connections of the calls that are.</summary>
        public List<WorkerConnection> GivenUp { get; } = [];

        /// <summary>Whether a second worker was asked because the first was late.</summary>
        public bool IsHedged { get; set; }

        /// <summary>Connections that it is not asked for on again.</summary>
        public IReadOnlySet<WorkerConnection> Avoided => _avoided;

        /// <summary>Whoever had a fault with it: asked again only if there is nobody else.</summary>
        public WorkerConnection? Suspect { get; private set; }

        public CallFault? LastFault { get; private set; }

        /// <summary>Since when nobody can be asked for it; null while somebody is.</summary>
        public long? UnservedSince { get; private set; }

        /// <summary>Whether asking again makes no sense.</summary>
        public bool MustEnd => LastFault?.Kind == CallFaultKind.Final || _faults >= MostFaults;

        /// <summary>Somebody was asked, or nobody is there.</summary>
        /// <param name="lostSince">Since when all of its workers have been lost: a request that comes later waits no longer for that.</param>
        public void NoteService(long? lostSince) => UnservedSince = Open > 0 ? null : lostSince ?? UnservedSince ?? Stopwatch.GetTimestamp();

        public void Failed(WorkerConnection worker, CallFault fault)
        {
            LastFault = fault;
            if (fault.Kind == CallFaultKind.NotHeld)
                _avoided.Add(worker);
            if (fault.Kind != CallFaultKind.Faulty)
                return;
            _faults++;
            Suspect = worker;
        }
    }
}
