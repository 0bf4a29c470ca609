namespace Grok1Cluster.Micro.Bench;

/// <summary>Random input, the same in every run.</summary>
internal static class Numbers
{
    /// <param name="count">Elements.</param>
    /// <param name="seed">Another seed, other numbers.</param>
    /// <returns>Uniform in -1 to 1.</returns>
    public static float[] Floats(int count, int seed = 1)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => 2 * random.NextSingle() - 1)];
    }
}
