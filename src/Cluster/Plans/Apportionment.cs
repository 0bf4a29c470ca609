namespace Grok1Cluster.Cluster.Plans;

/// <summary>Divides an amount in proportion to weights, nobody getting more than a limit.</summary>
internal static class Apportionment
{
    /// <summary>
    /// Exact parts: <c>min(limit, level * weight)</c> with the level at which they add up to the total. What does not fit
    /// on one is shared by the others.
    /// </summary>
    /// <param name="limits">Same length as <paramref name="weights"/>; infinity for none.</param>
    /// <returns>Null when all limits together are less than the total.</returns>
    public static double[]? Share(double total, IReadOnlyList<double> weights, IReadOnlyList<double> limits)
    {
        var parts = new double[weights.Count];
        var open = Enumerable.Range(0, weights.Count).OrderBy(i => limits[i] / weights[i]).ToList();
        var rest = total;
        while (open.Count > 0)
        {
            var level = rest / open.Sum(i => weights[i]);
            var tightest = open[0];
            if (limits[tightest] >= level * weights[tightest])
            {
                foreach (var i in open)
                    parts[i] = level * weights[i];
                return parts;
            }
            rest -= parts[tightest] = limits[tightest];
            open.RemoveAt(0);
        }
        return null;
    }

    /// <summary>
    /// Whole parts by largest remainder: each within one of its exact part unless a limit forbids. Of equal remainders
    /// the later gets more, as the last block of an expert may be narrower than the others.
    /// </summary>
    /// <returns>Null when all limits together are less than the total.</returns>
    public static int[]? Round(int total, IReadOnlyList<double> weights, IReadOnlyList<double> limits)
    {
        var sum = weights.Sum();
        var exact = weights.Select(weight => total * weight / sum).ToArray();
        var parts = exact.Select((part, i) => (int)Math.Floor(Math.Min(part, limits[i]))).ToArray();
        var order = Enumerable.Range(0, parts.Length).OrderByDescending(i => exact[i] - parts[i]).ThenByDescending(i => i).ToList();
        for (var left = total - parts.Sum(); left > 0;)
        {
            var before = left;
            foreach (var i in order.Where(i => parts[i] + 1 <= limits[i]).Take(left))
            {
                parts[i]++;
                left--;
            }
            if (left == before)
                return null;
        }
        return parts;
    }
}
