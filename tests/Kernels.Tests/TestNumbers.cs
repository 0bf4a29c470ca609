namespace Grok1Cluster.Kernels.Tests;

/// <summary>Inputs that differ from element to element, the same in every run.</summary>
internal static class TestNumbers
{
    /// <summary>Below one vector, around every vector width, odd, and the widths of real models.</summary>
    public static readonly int[] Lengths = [.. Enumerable.Range(1, 70), 127, 128, 129, 176, 1001, 6144];

    /// <summary>Normal numbers of standard deviation <paramref name="scale"/>.</summary>
    public static float[] Normal(int count, int seed, float scale = 1)
    {
        var random = new Random(seed);
        var x = new float[count];
        for (int i = 0; i < count; i++)
            x[i] = scale * (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        return x;
    }

    /// <summary>Normal numbers with values of every magnitude among them.</summary>
    public static float[] WithExtremes(int count, int seed)
    {
        float[] extremes = [0f, -0f, 1e-45f, -1e-38f, 1e-20f, 0.624999f, 0.625f, -0.625001f, 3f, -88f, 88.5f, 1e4f, -1e9f, 1e15f];
        var x = Normal(count, seed, 4);
        for (int i = seed % 5; i < count; i += 5)
            x[i] = extremes[(i + seed) % extremes.Length];
        return x;
    }

    /// <summary>Compares bit for bit, so that -0 is not 0 and a NaN equals itself.</summary>
    public static void SameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            if (BitConverter.SingleToInt32Bits(expected[i]) != BitConverter.SingleToInt32Bits(actual[i]))
                Assert.Fail($"{what}: element {i} of {expected.Length} is {actual[i]:R}, expected {expected[i]:R}");
    }

    /// <summary>Compares with a double-precision reference: |error| at most <paramref name="relative"/> of the value plus <paramref name="absolute"/>.</summary>
    public static void Near(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double relative, double absolute, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            if (!(Math.Abs(expected[i] - actual[i]) <= relative * Math.Abs(expected[i]) + absolute))
                Assert.Fail($"{what}: element {i} of {expected.Length} is {actual[i]:R}, expected {expected[i]:R}");
    }
}
