namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// How many calls may be made beside late ones: a share of all calls, saved up for a few at a time. A cluster in which
/// everything is slow is not given more to do. Used by the engine's thread.
/// </summary>
internal sealed class HedgeBudget
{
    /// <summary>Of all calls.</summary>
    private const double Share = 0.02;

    /// <summary>As many at once; a few must do before anything was saved.</summary>
    private const double Most = 8;

    private double _left = 1;

    /// <summary>Whether one more is allowed.</summary>
    public bool HasOne => _left >= 1;

    /// <summary>Calls were made.</summary>
    public void Earn(int calls) => _left = Math.Min(Most, _left + Share * calls);

    /// <summary>Takes one if there is one.</summary>
    public bool TryTake()
    {
        if (!HasOne)
            return false;
        _left--;
        return true;
    }
}
