using System.Numerics;
using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Numerics;

/// <summary>
/// Sums in an order that depends on the length alone: element i goes to lane i mod 32, in ascending order, and the lanes
/// are folded in halves. The same on every vector width, because 32 is a multiple of all of them.
/// </summary>
internal static class LaneSum
{
    public const int Lanes = 32;

    /// <summary>Adds the <see cref="Lanes"/> partial sums, upper half onto lower half until one is left.</summary>
    public static float Fold(Span<float> lanes)
    {
        for (int half = Lanes / 2; half > 0; half /= 2)
            for (int i = 0; i < half; i++)
                lanes[i] += lanes[i + half];
        return lanes[0];
    }

    /// <summary>The sum of x * x.</summary>
    public static float OfSquares(ReadOnlySpan<float> x)
    {
        Span<float> lanes = stackalloc float[Lanes];
        lanes.Clear();
        ref float source = ref MemoryMarshal.GetReference(x);
        int i = 0;
        for (; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            var v = Vector.LoadUnsafe(ref source, (nuint)i);
            ref float lane = ref lanes[i % Lanes];
            Simd.MultiplyAdd(v, v, Vector.LoadUnsafe(ref lane)).StoreUnsafe(ref lane);
        }
        AddSquares(x, i, lanes);
        return Fold(lanes);
    }

    /// <summary>Scalar twin of <see cref="OfSquares"/>.</summary>
    public static float OfSquaresScalar(ReadOnlySpan<float> x)
    {
        Span<float> lanes = stackalloc float[Lanes];
        lanes.Clear();
        AddSquares(x, 0, lanes);
        return Fold(lanes);
    }

    private static void AddSquares(ReadOnlySpan<float> x, int from, Span<float> lanes)
    {
        for (int i = from; i < x.Length; i++)
            lanes[i % Lanes] = Simd.MultiplyAdd(x[i], x[i], lanes[i % Lanes]);
    }
}
