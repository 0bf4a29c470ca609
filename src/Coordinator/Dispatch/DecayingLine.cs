namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>The straight line through points (x, y) by least squares, older points counting less; never falling, never below zero.</summary>
/// <param name="decay">What is left of a point's weight after the next one: with 0.99 the last hundred or so count.</param>
internal sealed class DecayingLine(double decay)
{
    private double _n, _x, _y, _xx, _xy;

    public void Add(double x, double y)
    {
        _n = decay * _n + 1;
        _x = decay * _x + x;
        _y = decay * _y + y;
        _xx = decay * _xx + x * x;
        _xy = decay * _xy + x * y;
    }

    /// <summary>The line's y at x; 0 before the first point.</summary>
    public double At(double x)
    {
        if (_n == 0)
            return 0;
        var spread = _n * _xx - _x * _x;
        // Points that are all at one x tell nothing of others: the line is level.
        var slope = spread <= 1e-9 * _n * _xx ? 0 : Math.Max(0, (_n * _xy - _x * _y) / spread);
        return Math.Max(0, (_y - slope * _x) / _n + slope * x);
    }
}
