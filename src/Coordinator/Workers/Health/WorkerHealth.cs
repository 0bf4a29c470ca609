namespace Grok1Cluster.Coordinator.Workers.Health;

/// <summary>
/// What a coordinator thinks of one worker: how long its calls take, and whether it is asked before or after others. Kept by
/// its link, whatever the plan is. Times are the engine's thread's; the rest is for any thread.
/// </summary>
public sealed class WorkerHealth
{
    /// <summary>So long a worker has to be slow before it is demoted.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>A demoted worker is tried so often at first, and at last.</summary>
    private static readonly TimeSpan ShortestProbePause = TimeSpan.FromSeconds(1), LongestProbePause = TimeSpan.FromSeconds(30);

    /// <summary>Quick answers in a row that end a demotion.</summary>
    private const int QuickProbes = 3;

    private readonly Lock _gate = new();
    private readonly TimeProvider _time;
    private readonly FaultBreaker _breaker;
    private CallTimes _times = new();
    private bool _demoted, _distrusted;
    private int _standing;
    private long? _slowSince;
    private long? _promoted;
    private long _probeFrom;
    private TimeSpan _probePause = ShortestProbePause;
    private int _quick;

    internal WorkerHealth(TimeProvider time) => (_time, _breaker) = (time, new FaultBreaker(time));

    /// <summary>Whether it is asked before others that hold the same.</summary>
    public WorkerStanding Standing => (WorkerStanding)Volatile.Read(ref _standing);

    /// <summary>How long its calls take.</summary>
    internal CallTimes Times => Volatile.Read(ref _times);

    /// <summary>Whether it should be asked for something that nobody waits for, to see whether it is well again.</summary>
    internal bool IsProbeDue
    {
        get
        {
            lock (_gate)
                return Standing switch
                {
                    WorkerStanding.Demoted => _time.GetTimestamp() >= _probeFrom,
                    WorkerStanding.SetAside => _breaker.IsProbeDue,
                    _ => false,
                };
        }
    }

    /// <summary>An answer was wrong: altered, not finite, of another length, or the worker had a fault.</summary>
    /// <returns>Whether its standing changed.</returns>
    internal bool Failed()
    {
        lock (_gate)
        {
            _breaker.Record(sound: false);
            return Update();
        }
    }

    /// <summary>An answer was sound.</summary>
    /// <inheritdoc cref="Failed" path="/returns"/>
    internal bool Answered(int rows, TimeSpan elapsed)
    {
        Times.Add(rows, elapsed);
        return Standing == WorkerStanding.SetAside && Recovered();
    }

    /// <summary>An answer came to what nobody waited for.</summary>
    /// <param name="quick">Whether it came about as soon as that of the worker that was counted on.</param>
    /// <inheritdoc cref="Failed" path="/returns"/>
    internal bool Probed(bool quick)
    {
        lock (_gate)
        {
            _breaker.Record(sound: true);
            if (!_demoted)
                return Update();
            _quick = quick ? _quick + 1 : 0;
            // Quick ones follow soon: it may be well again.
            _probePause = quick ? ShortestProbePause / 4 : Longer(_probePause);
            SetProbe();
            if (_quick >= QuickProbes)
                (_demoted, _slowSince, _promoted) = (false, null, _time.GetTimestamp());
            return Update();
        }
    }

    /// <summary>What nobody waited for was not answered.</summary>
    internal void Missed()
    {
        lock (_gate)
        {
            _breaker.Record(sound: false);
            (_quick, _probePause) = (0, Longer(_probePause));
            SetProbe();
        }
    }

    /// <summary>How it compares now.</summary>
    /// <param name="slow">Whether its calls take so much longer that others should be asked before it.</param>
    /// <inheritdoc cref="Failed" path="/returns"/>
    internal bool Compare(bool slow)
    {
        lock (_gate)
        {
            if (!slow)
                _slowSince = null;
            else if (!_demoted && _time.GetElapsedTime(_slowSince ??= _time.GetTimestamp()) >= Patience)
                Demote();
            return Update();
        }
    }

    /// <summary>A call was not answered in time at all.</summary>
    /// <inheritdoc cref="Failed" path="/returns"/>
    internal bool Overdue()
    {
        lock (_gate)
        {
            if (!_demoted)
                Demote();
            return Update();
        }
    }

    /// <summary>Others agree that it computed something wrong.</summary>
    /// <inheritdoc cref="Failed" path="/returns"/>
    internal bool Distrust()
    {
        lock (_gate)
        {
            _distrusted = true;
            return Update();
        }
    }

    /// <summary>The worker is another process now, of which nothing is known.</summary>
    internal void Renew()
    {
        lock (_gate)
        {
            (_demoted, _distrusted, _slowSince) = (false, false, null);
            Volatile.Write(ref _times, new CallTimes());
            Update();
        }
    }

    private bool Recovered()
    {
        lock (_gate)
        {
            _breaker.Record(sound: true);
            return Update();
        }
    }

    private void Demote()
    {
        // One that is slow again as soon as it is asked is left alone for longer.
        var again = _promoted is { } since && _time.GetElapsedTime(since) < LongestProbePause;
        _probePause = again ? Longer(_probePause) : ShortestProbePause;
        (_demoted, _quick) = (true, 0);
        SetProbe();
    }

    private void SetProbe() => _probeFrom = _time.GetTimestamp() + (long)(_probePause.TotalSeconds * _time.TimestampFrequency);

    private static TimeSpan Longer(TimeSpan pause) => pause + pause < LongestProbePause ? pause + pause : LongestProbePause;

    private bool Update()
    {
        var standing = _distrusted ? WorkerStanding.Distrusted : _breaker.IsOpen ? WorkerStanding.SetAside : _demoted ? WorkerStanding.Demoted : WorkerStanding.Healthy;
        if (standing == Standing)
            return false;
        Volatile.Write(ref _standing, (int)standing);
        return true;
    }
}
