using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Generation;

/// <summary>The experts of positions as JSON tells them.</summary>
internal static class RoutedExperts
{
    /// <summary>[position][layer][k] from one [layers, k] array a position; null stays null.</summary>
    public static IReadOnlyList<int[][]>? ByLayer(IEnumerable<int[]>? positions, Grok1Config config) =>
        positions is null ? null : [.. positions.Select(experts => experts.Chunk(config.ExpertsPerToken).ToArray())];
}
