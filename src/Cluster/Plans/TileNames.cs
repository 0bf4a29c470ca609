using System.Globalization;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>Names many tiles in few words: <c>layer 3 expert 5 slice 2; layers 4-63 experts 0-7 slices 0-1</c>.</summary>
public static class TileNames
{
    /// <summary>A line stays readable up to about this many ranges; what is left over is counted.</summary>
    public const int MaxRanges = 12;

    /// <param name="tiles">In any order, each once.</param>
    /// <returns>Runs of slices, of experts with the same slices and of layers with the same experts, each named once.</returns>
    public static string Describe(IEnumerable<TileId> tiles)
    {
        var layers = tiles.GroupBy(tile => tile.Layer).OrderBy(layer => layer.Key)
            .Select(layer => (layer.Key, Names: NamesInLayer(layer))).ToList();
        var names = MergeRuns(layers, SameNames)
            .SelectMany(run => run.Value.Select(name => $"{Range("layer", run.First, run.Last)} {name}")).ToList();
        return names.Count <= MaxRanges
            ? string.Join("; ", names)
            : $"{string.Join("; ", names.Take(MaxRanges))}; and {names.Count - MaxRanges} more ranges";
    }

    private static List<string> NamesInLayer(IEnumerable<TileId> tiles)
    {
        var experts = tiles.GroupBy(tile => tile.Expert).OrderBy(expert => expert.Key)
            .Select(expert => (expert.Key, Slices: SliceRanges(expert))).ToList();
        return [.. MergeRuns(experts, string.Equals).Select(run => $"{Range("expert", run.First, run.Last)} {run.Value}")];
    }

    private static string SliceRanges(IEnumerable<TileId> tiles)
    {
        var slices = tiles.Select(tile => tile.Slice).Order().Select(slice => (slice, true)).ToList();
        var runs = MergeRuns(slices, (_, _) => true).ToList();
        var plural = runs.Count > 1 || runs[0].First != runs[0].Last ? "slices" : "slice";
        return $"{plural} {string.Join(",", runs.Select(run => Numbers(run.First, run.Last)))}";
    }

    /// <summary>Joins neighbours whose keys follow one another and whose values are the same.</summary>
    private static IEnumerable<(int First, int Last, T Value)> MergeRuns<T>(IReadOnlyList<(int Key, T Value)> items, Func<T, T, bool> same)
    {
        for (int start = 0, next; start < items.Count; start = next)
        {
            for (next = start + 1; next < items.Count; next++)
                if (items[next].Key != items[next - 1].Key + 1 || !same(items[next].Value, items[start].Value))
                    break;
            yield return (items[start].Key, items[next - 1].Key, items[start].Value);
        }
    }

    private static bool SameNames(List<string> left, List<string> right) => left.SequenceEqual(right);

    private static string Range(string noun, int first, int last) => $"{noun}{(first == last ? "" : "s")} {Numbers(first, last)}";

    private static string Numbers(int first, int last) =>
        first == last ? first.ToString(CultureInfo.InvariantCulture) : $"{first}-{last}";
}
