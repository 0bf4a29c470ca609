namespace Grok1Cluster.Model.Store;

/// <summary>Which part of a model a store holds.</summary>
/// <param name="Dense">Whether it has the coordinator's tensors.</param>
/// <param name="Blocks">Runs of expert blocks [First, End) by (layer, expert), ascending; a pair that is absent holds nothing.</param>
public sealed record StoreShare(bool Dense, IReadOnlyDictionary<(int Layer, int Expert), IReadOnlyList<(int First, int End)>> Blocks)
{
    /// <summary>Everything.</summary>
    public static StoreShare Whole(int layers, int experts, int blocks) => new(
        true,
        (from layer in Enumerable.Range(0, layers) from expert in Enumerable.Range(0, experts) select (layer, expert))
            .ToDictionary(pair => pair, _ => (IReadOnlyList<(int, int)>)[(0, blocks)]));
}
