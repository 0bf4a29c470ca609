using System.Diagnostics;
using System.Runtime.CompilerServices;
using Grok1Cluster.Engine.Dispatch;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>Whose answer has a bundle's sum, and where in it; no call where no token of the batch needs the bundle.</summary>
internal readonly record struct BundleSource(WorkerCall? Call, int Place);

/// <summary>
/// One batch on its way: its calls, which of them answers which bundle, and the engine's thread that waits. A flight in which
/// something went wrong ends by <see cref="FlightRecovery"/> and is not used again: calls that were given up may still be
/// under way, and tell this flight and no later one.
/// </summary>
internal sealed class LayerFlight(int width, TimeSpan spin)
{
    private readonly List<WorkerCall> _calls = [];
    private readonly ManualResetEventSlim _news = new(false, spinCount: 0);
    private BundleSource[] _sources = [];
    private int _open;
    private bool _disturbed;

    /// <summary>EmbeddingDim.</summary>
    public int Width => width;

    /// <summary>The plan that it keeps to, and who serves it.</summary>
    public DispatchWorkers Workers { get; private set; } = null!;

    /// <summary>Where the batch's tokens went first.</summary>
    public LayerRoutes Routes { get; private set; } = null!;

    public ExpertBatch Batch { get; private set; } = null!;

    /// <summary>The calls by route; those with no rows were not sent.</summary>
    public IReadOnlyList<WorkerCall> Calls => _calls;

    /// <summary>By bundle of the layer, in plan order.</summary>
    public ReadOnlySpan<BundleSource> Sources => _sources.AsSpan(0, Routes.Order.Count);

    /// <summary>Whether every call has a sound answer.</summary>
    public bool IsComplete => Volatile.Read(ref _open) == 0 && !Volatile.Read(ref _disturbed);

    /// <summary>Whether nothing of it is under way, so that another batch may use it.</summary>
    public bool IsFree { get; private set; } = true;

    /// <summary>Makes a call for each route. None is sent yet, because the first to end would end the flight.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Begin(ExpertBatch batch, DispatchWorkers workers)
    {
        var routes = workers.Routes(batch);
        (Batch, Workers, Routes, IsFree) = (batch, workers, routes, false);
        while (_calls.Count < routes.Routes.Count)
            _calls.Add(new WorkerCall(this));
        if (_sources.Length < routes.Order.Count)
            _sources = new BundleSource[routes.Order.Count];
        for (var bundle = 0; bundle < routes.Order.Count; bundle++)
            _sources[bundle] = routes.Order[bundle] is var (route, place) ? new BundleSource(_calls[route], place) : default;
        _disturbed = !routes.IsComplete;
        _news.Reset();
        // One more, so that the flight is not over before everything was sent.
        _open = 1;
    }

    /// <summary>Another call than the first has a bundle's sum.</summary>
    public void SetSource(int bundle, BundleSource source) => _sources[bundle] = source;

    /// <summary>Counts a call that is about to be sent.</summary>
    public void Expect() => Interlocked.Increment(ref _open);

    /// <summary>Everything was sent.</summary>
    public void Sent() => OnEnded(!Volatile.Read(ref _disturbed));

    /// <summary>A call has its answer, or will have none.</summary>
    public void OnEnded(bool sound)
    {
        if (!sound)
            Volatile.Write(ref _disturbed, true);
        // The others are not waited for where there is something to mend.
        if (Interlocked.Decrement(ref _open) == 0 || Volatile.Read(ref _disturbed))
            _news.Set();
    }

    /// <summary>A worker was lost or is back; news only where something is to be mended.</summary>
    public void Wake()
    {
        if (Volatile.Read(ref _disturbed))
            _news.Set();
    }

    /// <summary>From now on every call that ends is news, and so is what happened before.</summary>
    public void Disturb()
    {
        Volatile.Write(ref _disturbed, true);
        _news.Reset();
        // What happened without seeing the first line is seen by whoever looks at calls and workers after this one.
        Interlocked.MemoryBarrier();
    }

    /// <summary>Waits until every call has ended, or something went wrong.</summary>
    /// <returns>False when the time is over.</returns>
    public bool Wait(TimeSpan limit, CancellationToken cancel)
    {
        if (spin > TimeSpan.Zero)
            for (var start = Stopwatch.GetTimestamp(); !_news.IsSet && Stopwatch.GetElapsedTime(start) < spin;)
                Thread.SpinWait(20);
        return _news.Wait(limit, cancel);
    }

    /// <summary>Gives every answer's buffer back; the flight is free for another batch.</summary>
    public void Release()
    {
        for (var i = 0; i < Routes.Routes.Count; i++)
            _calls[i].Release();
        IsFree = true;
    }

    /// <summary>Gives up the calls that have not ended: late answers find nobody.</summary>
    public void Abandon()
    {
        for (var i = 0; i < Routes.Routes.Count; i++)
            if (_calls[i] is { Rows: > 0, IsEnded: false } call)
                call.Worker?.Abandon(call);
    }
}
