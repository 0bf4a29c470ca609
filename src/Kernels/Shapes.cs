using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Grok1Cluster.Kernels;

/// <summary>Checks made once at a kernel's entry. The messages carry both sizes; nothing is allocated unless one fails.</summary>
internal static class Shapes
{
    /// <summary>Refuses <paramref name="actual"/> unless it equals <paramref name="expected"/>.</summary>
    public static void Same(int actual, int expected,
        [CallerArgumentExpression(nameof(actual))] string actualName = "", [CallerArgumentExpression(nameof(expected))] string expectedName = "")
    {
        if (actual != expected)
            Throw(actual, actualName, "must equal", expected, expectedName);
    }

    /// <summary>Refuses <paramref name="actual"/> when it is below <paramref name="least"/>.</summary>
    public static void AtLeast(long actual, long least,
        [CallerArgumentExpression(nameof(actual))] string actualName = "", [CallerArgumentExpression(nameof(least))] string leastName = "")
    {
        if (actual < least)
            Throw(actual, actualName, "must be at least", least, leastName);
    }

    [DoesNotReturn]
    private static void Throw(long actual, string actualName, string relation, long other, string otherName) =>
        throw new ArgumentException($"{actualName} is {actual}; it {relation} {otherName}, which is {other}.");
}
