namespace Grok1Cluster.Engine.Sampling;

/// <summary>
/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014) as a function of seed
/// and place: a draw needs no state but its number.
/// </summary>
public static class SplitMix64
{
    /// <summary>The output numbered <paramref name="index"/>, from 0, of the generator that starts at <paramref name="seed"/>.</summary>
    public static ulong At(ulong seed, ulong index)
    {
        var z = unchecked(seed + (index + 1) * 0x9E3779B97F4A7C15);
        z = unchecked((z ^ z >> 30) * 0xBF58476D1CE4E5B9);
        z = unchecked((z ^ z >> 27) * 0x94D049BB133111EB);
        return z ^ z >> 31;
    }

    /// <summary>The same as a number in [0, 1), from its upper 53 bits.</summary>
    public static double UniformAt(ulong seed, ulong index) => (At(seed, index) >> 11) * (1.0 / (1UL << 53));
}
