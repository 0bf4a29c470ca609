using System.Diagnostics;
using Grok1Cluster.Engine.Dispatch;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>One batch on its way: its calls, and the engine's thread that waits for them.</summary>
internal sealed class LayerFlight(int width, TimeSpan spin)
{
    private readonly List<WorkerCall> _calls = [];
    private readonly ManualResetEventSlim _done = new(false, spinCount: 0);
    private int _open;

    /// <summary>EmbeddingDim.</summary>
    public int Width => width;

    /// <summary>Where the batch's tokens went.</summary>
    public LayerRoutes Routes { get; private set; } = null!;

    public ExpertBatch Batch { get; private set; } = null!;

    /// <summary>The calls by route; those with no rows were not sent.</summary>
    public IReadOnlyList<WorkerCall> Calls => _calls;

    /// <summary>Fills a call for each route. None is sent yet, because the first to fail would end the flight.</summary>
    public void Begin(ExpertBatch batch, LayerRoutes routes)
    {
        (Batch, Routes) = (batch, routes);
        while (_calls.Count < routes.Routes.Count)
            _calls.Add(new WorkerCall(this));
        _done.Reset();
        // One more, so that the flight is not over before everything was sent.
        _open = 1;
    }

    /// <summary>Counts a call that is about to be sent.</summary>
    public void Expect() => Interlocked.Increment(ref _open);

    /// <summary>Everything was sent.</summary>
    public void Sent() => OnEnded();

    /// <summary>A call has its answer, or will have none.</summary>
    public void OnEnded()
    {
        if (Interlocked.Decrement(ref _open) == 0)
            _done.Set();
    }

    /// <summary>Waits until every call has ended.</summary>
    /// <returns>False when the time is over.</returns>
    public bool Wait(TimeSpan limit, CancellationToken cancel)
    {
        if (spin > TimeSpan.Zero)
            for (var start = Stopwatch.GetTimestamp(); !_done.IsSet && Stopwatch.GetElapsedTime(start) < spin;)
                Thread.SpinWait(20);
        return _done.Wait(limit, cancel);
    }

    /// <summary>Gives every answer's buffer back.</summary>
    public void Release()
    {
        for (var i = 0; i < Routes.Routes.Count; i++)
            _calls[i].Release();
    }

    /// <summary>Gives up what is still open: late answers find nobody, and these calls are not used again, because they may still be sent.</summary>
    public void Abandon()
    {
        foreach (var call in _calls)
            call.Worker?.Abandon(call);
        _calls.Clear();
    }
}
