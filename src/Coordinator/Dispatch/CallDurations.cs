namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>How long the calls of one worker take by their tokens, and from when on one is late. Used by the engine's thread.</summary>
internal sealed class CallDurations
{
    /// <summary>A call is late that takes so many times as long as calls like it.</summary>
    private const double Patience = 3;

    /// <summary>Calls to see before any is called late.</summary>
    private const int LeastSamples = 32;

    private static readonly TimeSpan Shortest = TimeSpan.FromSeconds(1);

    private readonly DecayingLine _line = new();
    private int _samples;

    /// <summary>A call was answered.</summary>
    public void Add(int rows, TimeSpan elapsed)
    {
        _line.Add(rows, elapsed.TotalSeconds);
        _samples++;
    }

    /// <summary>The time after which a call of so many tokens is late; null as long as too few were seen.</summary>
    public TimeSpan? Deadline(int rows)
    {
        if (_samples < LeastSamples)
            return null;
        var expected = TimeSpan.FromSeconds(Patience * _line.At(rows));
        return expected > Shortest ? expected : Shortest;
    }
}
