using Grok1Cluster.Coordinator.Dispatch;

namespace Grok1Cluster.Coordinator.Workers.Health;

/// <summary>
/// How long the calls of one worker take by their tokens: a line a + b x tokens through the last hundred or so, and how far
/// calls lie from it. From that follow when one is late (a replica may be asked beside it) and when it is overdue (a replica
/// must be asked). Nothing here allocates after the constructor. Used by the engine's thread.
/// </summary>
internal sealed class CallTimes
{
    /// <summary>Calls to see before the line says anything.</summary>
    public const int LeastSamples = 32;

    /// <summary>Late is so many times the usual, where not one call in a hundred takes longer anyway.</summary>
    private const double Patience = 3;

    /// <summary>Overdue is so many times as long as the line says.</summary>
    private const double Deadline = 10;

    /// <summary>Less is what a thread may wait for a core; asking twice would not be quicker.</summary>
    private static readonly TimeSpan ShortestLate = TimeSpan.FromMilliseconds(5);

    private static readonly TimeSpan ShortestDeadline = TimeSpan.FromSeconds(1);

    /// <summary>For a worker that was hardly asked yet: it may have to read its weights from a disk.</summary>
    private static readonly TimeSpan FirstDeadline = TimeSpan.FromSeconds(5);

    private readonly DecayingLine _line = new(0.99);
    private readonly DecayingLine _recent = new(0.9);
    private readonly DecayingLine _usual = new(0.999);
    private readonly RatioSketch _ratios = new();
    private double _lateFactor = Patience;
    private double _meanRows = 1;
    private int _samples;

    /// <summary>Whether enough calls were seen to say how long they take.</summary>
    public bool IsKnown => _samples >= LeastSamples;

    /// <summary>Tokens of a call, on average of late.</summary>
    public double MeanRows => _meanRows;

    /// <summary>A call was answered.</summary>
    public void Add(int rows, TimeSpan elapsed)
    {
        var seconds = elapsed.TotalSeconds;
        if (IsKnown && _line.At(rows) is > 0 and var expected)
            _ratios.Add(seconds / expected);
        _line.Add(rows, seconds);
        _recent.Add(rows, seconds);
        _usual.Add(rows, seconds);
        _meanRows += 0.1 * (rows - _meanRows);
        if (++_samples % LeastSamples == 0)
            _lateFactor = Math.Max(Patience * _ratios.Quantile(0.5), _ratios.Quantile(0.99));
    }

    /// <summary>From when on a call is late; null as long as too few were seen.</summary>
    public TimeSpan? LateAfter(int rows) => IsKnown ? Longer(TimeSpan.FromSeconds(_lateFactor * _line.At(rows)), ShortestLate) : null;

    /// <summary>From when on a call is not counted on any more.</summary>
    public TimeSpan OverdueAfter(int rows) => IsKnown ? Longer(TimeSpan.FromSeconds(Deadline * _line.At(rows)), ShortestDeadline) : FirstDeadline;

    /// <summary>Seconds that the last ten or so calls would have taken with so many tokens.</summary>
    public double Recent(double rows) => _recent.At(rows);

    /// <summary>Seconds that the last thousand or so would have taken.</summary>
    public double Usual(double rows) => _usual.At(rows);

    private static TimeSpan Longer(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
