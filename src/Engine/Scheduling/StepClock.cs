namespace Grok1Cluster.Engine.Scheduling;

/// <summary>
/// Predicts how long a step takes from how long steps took: a part that every step pays (reading the weights of the layers)
/// and a part for each row. Both follow the machine with a moving average, so a slow worker or a busy core shows in them.
/// The first is learnt from steps of few rows, the second from steps of many; prefill never gets less than a step of many,
/// so a bad estimate (the first step pays for more than itself) cannot keep itself alive.
/// </summary>
internal sealed class StepClock
{
    /// <summary>Rows of prefill that a step takes whatever the prediction says.</summary>
    public const int LeastRows = 128;

    private const int FewRows = 8;
    private const int FirstRows = 128;

    // A step may be slower than the machine, by what else runs or is compiled, but never faster.
    private const double WeightOfSlower = 0.3, WeightOfFaster = 0.7;
    private double _base;
    private double _perRow;

    /// <summary>Rows of prefill that fit into a step beside <paramref name="decodeRows"/>.</summary>
    public int RowsWithin(TimeSpan step, int decodeRows, int maxRows)
    {
        // Nothing measured yet: small enough to be quick anywhere, large enough to learn from.
        var rows = _perRow <= 0 ? FirstRows : (step.TotalSeconds - _base) / _perRow - decodeRows;
        return Math.Min((int)Math.Max(LeastRows, Math.Min(rows, maxRows)), Math.Max(1, maxRows - decodeRows));
    }

    /// <summary>Learns from a finished step.</summary>
    public void Learn(int rows, TimeSpan elapsed)
    {
        if (rows <= FewRows)
            _base = Blend(_base, elapsed.TotalSeconds);
        else if (rows >= LeastRows)
            _perRow = Blend(_perRow, Math.Max(elapsed.TotalSeconds - _base, elapsed.TotalSeconds / 10) / rows);
    }

    private static double Blend(double average, double value) => 
        average <= 0 ? value : average + (value < average ? WeightOfFaster : WeightOfSlower) * (value - average);
}
