namespace Grok1Cluster.Weights.Fetching;

/// <summary>A limit on the bytes a second of everybody who takes from it. Thread-safe.</summary>
/// <param name="bytesPerSecond">0: no limit.</param>
/// <param name="time">The clock.</param>
public sealed class TokenBucket(long bytesPerSecond, TimeProvider time)
{
    /// <summary>What may be taken at once after a pause, in seconds of the rate.</summary>
    private const double Burst = 0.1;

    private readonly Lock _gate = new();
    private double _tokens = bytesPerSecond * Burst;
    private long _last = time.GetTimestamp();

    /// <summary>Takes bytes that came, and waits until the next may come.</summary>
    public Task TakeAsync(int bytes, CancellationToken cancel)
    {
        if (bytesPerSecond <= 0)
            return Task.CompletedTask;
        double debt;
        lock (_gate)
        {
            var now = time.GetTimestamp();
            _tokens = Math.Min(_tokens + time.GetElapsedTime(_last, now).TotalSeconds * bytesPerSecond, bytesPerSecond * Burst) - bytes;
            _last = now;
            debt = -_tokens;
        }
        return debt <= 0 ? Task.CompletedTask : Task.Delay(TimeSpan.FromSeconds(debt / bytesPerSecond), time, cancel);
    }
}
