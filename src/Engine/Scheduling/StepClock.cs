namespace Grok1Cluster.Engine.Scheduling;

/// <summary>
/// Predicts how long a step takes from how long steps took: a part that every step pays (reading the weights of the layers)
/// and a part for each row. Both follow the machine with a moving average, so a slow worker or a busy core shows in them.
/// </summary>
internal sealed class StepClock
{
    private const double Weight = 0.2;
    private const int FirstRows = 64;
    private double _base;
    private double _perRow;

    /// <summary>Rows of prefill that fit into a step beside <paramref name="decodeRows"/>; at least one.</summary>
    public int RowsWithin(TimeSpan step, int decodeRows, int maxRows)
    {
        // Nothing measured yet: small enough to be quick anywhere, large enough to learn from.
        var rows = _perRow <= 0 ? FirstRows : (step.TotalSeconds - _base) / _perRow - decodeRows;
        return Math.Clamp((int)Math.Min(rows, maxRows), 1, Math.Max(1, maxRows - decodeRows));
    }

    /// <summary>Learns from a finished step.</summary>
    public void Learn(int rows, TimeSpan elapsed)
    {
        if (rows <= 4)
            _base = Blend(_base, elapsed.TotalSeconds);
        else
            _perRow = Blend(_perRow, Math.Max(elapsed.TotalSeconds - _base, 1e-9) / rows);
    }

    private static double Blend(double average, double value) => average <= 0 ? value : average + Weight * (value - average);
}
