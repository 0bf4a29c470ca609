namespace Grok1Cluster.Coordinator.Hosting;

/// <summary>What a coordinator can do at the moment.</summary>
public enum ServingPhase
{
    /// <summary>Weights come into memory; requests are told to come back.</summary>
    Loading,

    Ready,

    /// <summary>Requests that run are finished, others are told to go elsewhere.</summary>
    Draining,
}

/// <summary>
/// Which phase a coordinator is in, how far it has loaded, and how many requests it works on. Thread-safe. Phases only go
/// forward.
/// </summary>
public sealed class Readiness
{
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ServingPhase _phase = ServingPhase.Loading;
    private int _requests;

    public LoadProgress Progress { get; } = new();

    /// <summary>What a ready coordinator lacks at the moment to compute a token; null: nothing.</summary>
    public Func<string?> Lacks { get; set; } = static () => null;

    public ServingPhase Phase
    {
        get
        {
            lock (_lock)
                return _phase;
        }
    }

    /// <summary>Requests that are worked on.</summary>
    public int Requests
    {
        get
        {
            lock (_lock)
                return _requests;
        }
    }

    /// <summary>Loaded: takes requests, unless it drains already.</summary>
    public void SetReady()
    {
        lock (_lock)
            if (_phase == ServingPhase.Loading)
                _phase = ServingPhase.Ready;
    }

    /// <summary>Takes a request in; false when this is not the time. Each that is taken in has to <see cref="Leave"/>.</summary>
    public bool TryEnter()
    {
        lock (_lock)
        {
            if (_phase != ServingPhase.Ready)
                return false;
            _requests++;
            return true;
        }
    }

    public void Leave()
    {
        lock (_lock)
        {
            _requests--;
            CompleteIfIdle();
        }
    }

    /// <summary>Takes no more requests and waits for those that are there.</summary>
    /// <param name="limit">Longest wait.</param>
    /// <param name="time">Measures it.</param>
    /// <returns>Requests that were not finished.</returns>
    public async Task<int> DrainAsync(TimeSpan limit, TimeProvider time)
    {
        lock (_lock)
        {
            _phase = ServingPhase.Draining;
            CompleteIfIdle();
        }
        await _idle.Task.WaitAsync(limit, time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return Requests;
    }

    private void CompleteIfIdle()
    {
        if (_phase == ServingPhase.Draining && _requests == 0)
            _idle.TrySetResult();
    }
}
