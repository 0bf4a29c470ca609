namespace Grok1Cluster.Coordinator.Local;

/// <summary>One worker's place on this machine: its process, and another when that ends by itself.</summary>
internal sealed class SupervisedWorker : IAsyncDisposable
{
    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    /// <summary>A process that ran for so long was sound: the next may follow at once.</summary>
    private static readonly TimeSpan SoundTime = TimeSpan.FromSeconds(10);

    private readonly Func<CancellationToken, Task<WorkerProcess>> _start;
    private readonly CancellationTokenSource _closing = new();
    private Task _running = Task.CompletedTask;
    private WorkerProcess _process;

    /// <param name="process">The first; owned from now on.</param>
    /// <param name="start">Starts another.</param>
    public SupervisedWorker(WorkerProcess process, Func<CancellationToken, Task<WorkerProcess>> start) => (_process, _start) = (process, start);

    /// <summary>The present process, or the last one.</summary>
    public WorkerProcess Process => Volatile.Read(ref _process);

    /// <summary>Starts another process whenever one ends, until disposed.</summary>
    /// <param name="ended">Told of a process that ended, and of its exit code.</param>
    /// <param name="restarted">Told of the next, when it is ready.</param>
    /// <param name="failed">Told why the next did not start; there is another attempt.</param>
    public void Supervise(Action<WorkerReady, int> ended, Action<WorkerReady> restarted, Action<Exception> failed) =>
        _running = RunAsync(ended, restarted, failed);

    /// <summary>Whether it ended for good.</summary>
    public bool IsForgotten { get; private set; }

    /// <summary>From now on its process may end, and no other is started.</summary>
    public void Forget()
    {
        IsForgotten = true;
        _closing.Cancel();
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _running;
        await Process.DisposeAsync();
        _closing.Dispose();
    }

    private async Task RunAsync(Action<WorkerReady, int> ended, Action<WorkerReady> restarted, Action<Exception> failed)
    {
        try
        {
            for (var pause = ShortestPause; ; )
            {
                var since = TimeProvider.System.GetTimestamp();
                ended(Process.Ready, await Process.WaitForEndAsync(_closing.Token));
                pause = TimeProvider.System.GetElapsedTime(since) > SoundTime ? ShortestPause : Longer(pause);
                while (true)
                {
                    await Task.Delay(pause, _closing.Token);
                    try
                    {
                        var next = await _start(_closing.Token);
                        await Process.DisposeAsync();
                        Volatile.Write(ref _process, next);
                        restarted(next.Ready);
                        break;
                    }
                    catch (Exception fault) when (fault is not OperationCanceledException)
                    {
                        failed(fault);
                        pause = Longer(pause);
                    }
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The cluster ends, and its workers with it.
        }
    }

    private static TimeSpan Longer(TimeSpan pause) => pause + pause < LongestPause ? pause + pause : LongestPause;
}
