using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Grok1Cluster.Kernels.Threading;

/// <summary>
/// The threads that compute: the caller of <see cref="Run"/> and <see cref="Threads"/> - 1 of the pool's own. Parts are
/// taken one by one from an atomic counter, so a slow thread delays nobody; who computes a part must not change its
/// result (see <see cref="IComputeJob"/>). One job runs at a time, and running one allocates nothing.
/// </summary>
public sealed class ComputePool : IDisposable
{
    /// <summary>Most threads a pool may have.</summary>
    public const int MaxThreads = 1024;

    // What follows a job within a layer comes sooner than this; what comes later is worth a wake-up of a few microseconds.
    private static readonly long SpinTicks = Stopwatch.Frequency * 50 / 1_000_000;
    private const int SpinsPerLook = 20;

    private const int Idle = 0, Running = 1, Disposed = 2;

    private readonly bool _spin;
    private readonly Thread[] _threads;
    private readonly Parker[] _parkers;
    private readonly Parker _caller = new();
    private IComputeJob? _job;
    private ExceptionDispatchInfo? _fault;
    private volatile bool _stopping;
    private int _state;
    private int _parts;
    private int _unfinished;

    // Upper half: the job's number, which makes a ticket of an earlier job unusable. Lower half: parts not yet taken.
    private long _tickets;

    /// <param name="threads">Threads that compute, the caller included: 1 to <see cref="MaxThreads"/>; 1 runs everything inline.</param>
    /// <param name="spin">
    /// Whether a thread without work looks for more for 50 microseconds before it sleeps. Turn it off where more
    /// threads than cores compute on this machine.
    /// </param>
    public ComputePool(int threads, bool spin)
    {
        if (threads is < 1 or > MaxThreads)
            throw new ArgumentOutOfRangeException(nameof(threads), threads, $"A compute pool has 1 to {MaxThreads} threads.");
        Threads = threads;
        _spin = spin;
        _threads = new Thread[threads - 1];
        _parkers = new Parker[threads - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            var parker = _parkers[i] = new Parker();
            _threads[i] = new Thread(() => Work(parker)) { IsBackground = true, Name = $"compute-{i + 1}" };
        }
        foreach (var thread in _threads)
            thread.Start();
    }

    /// <summary>Threads that compute, the caller of <see cref="Run"/> included.</summary>
    public int Threads { get; }

    /// <summary>
    /// Runs parts 0 to <paramref name="parts"/> - 1 of a job and returns when all are done. After a part throws, parts not
    /// yet begun are skipped, those under way end, and the first exception is thrown here.
    /// </summary>
    /// <exception cref="InvalidOperationException">A job is running: there is one caller at a time, and a part cannot run a job.</exception>
    /// <exception cref="ObjectDisposedException">The pool is disposed.</exception>
    public void Run(IComputeJob job, int parts)
    {
        ArgumentNullException.ThrowIfNull(job);
        ArgumentOutOfRangeException.ThrowIfNegative(parts);
        Enter(Running);
        try
        {
            if (Threads == 1 || parts <= 1)
                RunInline(job, parts);
            else
                RunShared(job, parts);
        }
        finally
        {
            Volatile.Write(ref _state, Idle);
        }
    }

    /// <summary>Ends and joins the threads.</summary>
    /// <exception cref="InvalidOperationException">A job is running.</exception>
    public void Dispose()
    {
        if (Volatile.Read(ref _state) == Disposed)
            return;
        Enter(Disposed);
        _stopping = true;
        foreach (var parker in _parkers)
            parker.Wake();
        foreach (var thread in _threads)
            thread.Join();
    }

    private void Enter(int state)
    {
        int was = Interlocked.CompareExchange(ref _state, state, Idle);
        ObjectDisposedException.ThrowIf(was == Disposed, this);
        if (was == Running)
            throw new InvalidOperationException(
                "A job is already running on this compute pool: it has one caller at a time, and a part of a job cannot run or dispose it.");
    }

    private static void RunInline(IComputeJob job, int parts)
    {
        for (int part = 0; part < parts; part++)
            job.Execute(part);
    }

    private void RunShared(IComputeJob job, int parts)
    {
        _job = job;
        _parts = parts;
        Volatile.Write(ref _unfinished, parts);
        // Publishes the fields above; a ticket can be taken only after they are set.
        Interlocked.Exchange(ref _tickets, ((_tickets >> 32) + 1 << 32) | (uint)parts);
        for (int i = 0; i < _parkers.Length && i < parts - 1; i++)
            _parkers[i].Wake();
        while (TryTake(out int part))
            Execute(part);
        WaitForOthers();
        _job = null;
        var fault = _fault;
        _fault = null;
        fault?.Throw();
    }

    private void WaitForOthers()
    {
        long start = Stopwatch.GetTimestamp();
        while (Volatile.Read(ref _unfinished) != 0)
            if (_spin && Stopwatch.GetTimestamp() - start < SpinTicks)
                Thread.SpinWait(SpinsPerLook);
            else
                _caller.Park();
    }

    private void Work(Parker parker)
    {
        long idleSince = Stopwatch.GetTimestamp();
        while (!_stopping)
        {
            if (TryTake(out int part))
            {
                do
                    Execute(part);
                while (TryTake(out part));
                idleSince = Stopwatch.GetTimestamp();
            }
            else if (_spin && Stopwatch.GetTimestamp() - idleSince < SpinTicks)
            {
                Thread.SpinWait(SpinsPerLook);
            }
            else
            {
                parker.Park();
            }
        }
    }

    private bool TryTake(out int part)
    {
        while (true)
        {
            long tickets = Volatile.Read(ref _tickets);
            int left = (int)tickets;
            if (left == 0)
            {
                part = 0;
                return false;
            }
            if (Interlocked.CompareExchange(ref _tickets, tickets - 1, tickets) == tickets)
            {
                // Holding a ticket keeps its job from ending, so the job's fields are its own.
                part = _parts - left;
                return true;
            }
        }
    }

    private void Execute(int part)
    {
        try
        {
            if (Volatile.Read(ref _fault) is null)
                _job!.Execute(part);
        }
        catch (Exception exception)
        {
            Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(exception), null);
        }
        if (Interlocked.Decrement(ref _unfinished) == 0)
            _caller.Wake();
    }
}
