using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Costs;

/// <summary>Experts that a layer's tokens choose between them.</summary>
/// <param name="Experts">Ascending.</param>
/// <param name="Probability">That exactly these are chosen.</param>
public readonly record struct TouchedSet(ImmutableArray<int> Experts, double Probability);

/// <summary>
/// Which experts a batch touches, every token choosing its experts uniformly and independently. Real routers have
/// favourites; the cost model does not know them.
/// </summary>
public static class TouchedExperts
{
    /// <summary>Up to this many experts all sets are enumerated; beyond it a fixed sample stands for them.</summary>
    public const int MaxEnumerated = 10;

    private const int SampleCount = 512;

    /// <summary>Sets less likely than this change no prediction.</summary>
    private const double Negligible = 1e-12;

    /// <summary>Expected number of distinct experts: <c>E (1 - (1 - k/E)^tokens)</c>.</summary>
    public static double Expected(int experts, int perToken, int tokens) => experts * (1 - Math.Pow(1 - (double)perToken / experts, tokens));

    /// <summary>Probability that a token chooses at least one of <paramref name="held"/> experts: <c>1 - C(E - held, k) / C(E, k)</c>.</summary>
    public static double ChanceOfAny(int held, int experts, int perToken) => 1 - ChanceWithin(experts - held, experts, perToken);

    /// <summary>Every set that a batch can touch, or a sample of them; probabilities add up to 1.</summary>
    public static ImmutableArray<TouchedSet> Sets(int experts, int perToken, int tokens) =>
        experts <= MaxEnumerated ? Enumerate(experts, perToken, tokens) : Sample(experts, perToken, tokens);

    /// <summary>By inclusion and exclusion; the probability of a set depends on its size only.</summary>
    private static ImmutableArray<TouchedSet> Enumerate(int experts, int perToken, int tokens)
    {
        var ofSize = new double[experts + 1];
        for (var size = 0; size <= experts; size++)
            for (var within = 0; within <= size; within++)
                ofSize[size] += ((size - within) % 2 == 0 ? 1 : -1) * Choose(size, within) * Math.Pow(ChanceWithin(within, experts, perToken), tokens);

        var sets = ImmutableArray.CreateBuilder<TouchedSet>();
        for (var mask = 1; mask < 1 << experts; mask++)
        {
            ImmutableArray<int> members = [.. Enumerable.Range(0, experts).Where(expert => (mask >> expert & 1) == 1)];
            if (ofSize[members.Length] > Negligible)
                sets.Add(new TouchedSet(members, ofSize[members.Length]));
        }
        return sets.DrainToImmutable();
    }

    /// <summary>Always the same sample, so that equal input gives equal plans.</summary>
    private static ImmutableArray<TouchedSet> Sample(int experts, int perToken, int tokens)
    {
        var random = new Random(1);
        var all = Enumerable.Range(0, experts).ToArray();
        var sets = ImmutableArray.CreateBuilder<TouchedSet>(SampleCount);
        for (var draw = 0; draw < SampleCount; draw++)
        {
            var touched = new SortedSet<int>();
            for (var token = 0; token < tokens && touched.Count < experts; token++)
            {
                random.Shuffle(all);
                touched.UnionWith(all.AsSpan(0, perToken).ToArray());
            }
            sets.Add(new TouchedSet([.. touched], 1.0 / SampleCount));
        }
        return sets.MoveToImmutable();
    }

    /// <summary>Probability that all of a token's experts are among <paramref name="within"/> of them.</summary>
    private static double ChanceWithin(int within, int experts, int perToken) => Choose(within, perToken) / Choose(experts, perToken);

    private static double Choose(int n, int k)
    {
        if (k > n)
            return 0;
        var ways = 1.0;
        for (var i = 0; i < k; i++)
            ways = ways * (n - i) / (i + 1);
        return ways;
    }
}
