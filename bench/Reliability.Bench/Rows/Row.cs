namespace Grok1Cluster.Reliability.Bench.Rows;

/// <summary>A row of the tables: something that happens to a cluster while texts are generated.</summary>
/// <param name="Name">For <c>--fault</c>.</param>
/// <param name="Text">For people.</param>
internal abstract record Row(string Name, string Text)
{
    /// <summary>Why it cannot be run here; null: it can.</summary>
    public virtual string? Missing => null;

    /// <summary>Whether streams are to end with an error that names the tiles.</summary>
    public bool MustFail { get; init; }

    /// <summary>Runs it as often as was asked for. Each run is given when it is done, so that a fault in a later one does not take it away.</summary>
    /// <param name="bench">What was asked for.</param>
    public abstract IAsyncEnumerable<RowRun> MeasureAsync(BenchContext bench);
}
