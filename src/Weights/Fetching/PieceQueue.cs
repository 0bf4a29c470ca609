namespace Grok1Cluster.Weights.Fetching;

/// <summary>
/// Deals pieces to sources: whoever is done takes the next, so the faster get more. When none is left to begin, a source that
/// has nothing to do is asked for one that another is slow with, and the first to deliver counts. Thread-safe.
/// </summary>
internal sealed class PieceQueue
{
    private const int MaxAttempts = 2;

    private readonly Lock _gate = new();
    private readonly IReadOnlyList<FetchSource> _sources;
    private readonly LinkedList<FetchPiece> _open;
    private readonly TaskCompletionSource _ended = NewSignal();
    private TaskCompletionSource _changed = NewSignal();

    public PieceQueue(IEnumerable<FetchPiece> pieces, IReadOnlyList<FetchSource> sources) => (_open, _sources) = (new LinkedList<FetchPiece>(pieces), sources);

    /// <summary>Completes when nothing is left to do, or nothing can be done any more.</summary>
    public Task Ended => _ended.Task;

    /// <summary>A piece that is not there and that nobody who is left has; null while there is hope.</summary>
    public FetchPiece? Hopeless { get; private set; }

    /// <summary>Waits for something to ask a source for.</summary>
    /// <returns>A piece, and what fires when another source was faster with it; null when the source has nothing more to do.</returns>
    public async Task<(FetchPiece Piece, CancellationToken Beaten)?> TakeAsync(FetchSource source, CancellationToken cancel)
    {
        while (true)
        {
            Task changed;
            lock (_gate)
            {
                if (_ended.Task.IsCompleted || source.Dropped is not null)
                    return null;
                if (Choose(source) is { } piece)
                {
                    var attempt = new CancellationTokenSource();
                    piece.Attempts.Add(source, attempt);
                    return (piece, attempt.Token);
                }
                changed = _changed.Task;
            }
            await changed.WaitAsync(cancel);
        }
    }

    /// <summary>All of a piece is on disk: who else is asked for it may stop.</summary>
    public void Complete(FetchPiece piece, FetchSource source) => Change(() =>
    {
        source.Failures = 0;
        piece.Attempts.Remove(source);
        if (piece.IsDone)
            return;
        piece.IsDone = true;
        _open.Remove(piece);
        // Elsewhere: what is cancelled comes back here.
        foreach (var other in piece.Attempts.Values)
            _ = other.CancelAsync();
    });

    /// <summary>An attempt ended without the piece, which goes to others.</summary>
    /// <param name="lacks">Whether the source does not have it.</param>
    /// <param name="maxFailures">Failures in a row with which the source is not asked any more.</param>
    /// <param name="reason">For that case.</param>
    public void Return(FetchPiece piece, FetchSource source, bool lacks, int maxFailures, string reason) => Change(() =>
    {
        piece.Attempts.Remove(source);
        if (piece.IsDone)
            return;
        if (lacks)
            piece.Without.Add(source);
        else if (++source.Failures >= maxFailures)
            source.Dropped ??= reason;
    });

    private void Change(Action change)
    {
        TaskCompletionSource changed;
        lock (_gate)
        {
            change();
            Hopeless = _open.FirstOrDefault(piece => piece.Attempts.Count == 0 && _sources.All(source => source.Dropped is not null || piece.Without.Contains(source)));
            if (_open.Count == 0 || Hopeless is not null)
                _ended.TrySetResult();
            (changed, _changed) = (_changed, NewSignal());
        }
        changed.SetResult();
    }

    private FetchPiece? Choose(FetchSource source)
    {
        FetchPiece? second = null;
        foreach (var piece in _open)
            if (piece.Without.Contains(source) || piece.Attempts.ContainsKey(source))
                continue;
            else if (piece.Attempts.Count == 0)
                return piece;
            else if (piece.Attempts.Count < MaxAttempts)
                second ??= piece;
        return second;
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
