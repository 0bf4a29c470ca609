using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Weights.Fetching;

/// <summary>Some consecutive blocks of one expert: what a source is asked for at a time. The queue's to guard.</summary>
/// <param name="blocks">Ascending, with what each must be.</param>
internal sealed class FetchPiece(IReadOnlyList<(BlockId Id, string Sha256)> blocks)
{
    public IReadOnlyList<(BlockId Id, string Sha256)> Blocks { get; } = blocks;

    /// <summary>Who was asked and did not have all of it.</summary>
    public HashSet<FetchSource> Without { get; } = [];

    /// <summary>Who is asked now, each with what breaks its attempt off.</summary>
    public Dictionary<FetchSource, CancellationTokenSource> Attempts { get; } = [];

    public bool IsDone { get; set; }
}
