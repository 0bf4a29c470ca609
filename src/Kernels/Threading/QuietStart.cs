namespace Grok1Cluster.Kernels.Threading;

/// <summary>
/// A process that gives way to all others while it starts, where the system allows it to come back from that (Linux: as root, with CAP_SYS_NICE, or
/// with a limit such as LimitNICE=+0 of systemd). Most of what a start costs is the compilation of code, on threads that stay and cannot be
/// nice for good. Thread-safe.
/// </summary>
public sealed class QuietStart : IDisposable
{
    private const string Tasks = "/proc/self/task";

    /// <summary>What compiles often called code once more goes on giving way: nothing waits for it.</summary>
    private const string Compiler = ".NET Tiered";

    private readonly Lock _gate = new();
    private readonly Timer? _limit;
    private bool _isLow;

    private QuietStart(TimeSpan most)
    {
        foreach (var thread in Threads())
            Niceness.TrySet(thread, Niceness.Low);
        _isLow = true;
        _limit = new Timer(_ => Dispose(), null, most, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Every thread that there is gives way from now on, and those that they start.</summary>
    /// <param name="most">On a machine that is busy all the time a process would never be ready: after this it is as others are.</param>
    /// <returns>Whose end is the end of it; null where the system does not allow it.</returns>
    public static QuietStart? TryBegin(TimeSpan most)
    {
        if (Niceness.Low == Niceness.Usual || !Directory.Exists(Tasks))
            return null;
        var mayComeBack = false;
        var probe = new Thread(() => mayComeBack = Niceness.TrySet(Niceness.Self, Niceness.Low) && Niceness.TrySet(Niceness.Self, Niceness.Usual));
        probe.Start();
        probe.Join();
        return mayComeBack ? new QuietStart(most) : null;
    }

    /// <summary>Every thread is as it was. No harm to do it again.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (!_isLow)
                return;
            _isLow = false;
            _limit?.Dispose();
            // A thread that was not asked yet may have started another meanwhile.
            while (Threads().Where(thread => Niceness.Get(thread) == Niceness.Low && !StaysLow(thread)).Count(thread => Niceness.TrySet(thread, Niceness.Usual)) > 0)
            {
            }
        }
    }

    private static IEnumerable<int> Threads() => Directory.GetDirectories(Tasks).Select(path => int.Parse(Path.GetFileName(path.AsSpan())));

    private static bool StaysLow(int thread)
    {
        try
        {
            var name = File.ReadAllText($"{Tasks}/{thread}/comm").TrimEnd('\n');
            return name == BackgroundThread.Name || name.StartsWith(Compiler, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            // It has ended.
            return true;
        }
    }
}
