using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Numerics;

/// <summary>
/// Sums in an order that depends on the length alone: element i goes to lane i mod 32, in ascending order, and the lanes
/// are folded in halves. The same on every vector width, because 32 is a multiple of all of them.
/// </summary>
internal static class LaneSum
{
    public const int Lanes = 32;

    /// <summary>The lane of element <paramref name="index"/>.</summary>
    public static int Lane(int index) => index & (Lanes - 1);

    /// <summary>Adds the <see cref="Lanes"/> partial sums, upper half onto lower half until one is left.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Fold(Span<float> lanes)
    {
        for (int half = Lanes / 2; half > 0; half /= 2)
            for (int i = 0; i < half; i++)
                lanes[i] += lanes[i + half];
        return lanes[0];
    }

    /// <summary>The sum of x * x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float OfSquares(ReadOnlySpan<float> x)
    {
        Span<float> lanes = stackalloc float[Lanes];
        ref float source = ref MemoryMarshal.GetReference(x);
        int whole = x.Length / Lanes * Lanes;
        for (int lane = 0; lane < Lanes; lane += 2 * Vector<float>.Count)
        {
            var (first, second) = (Vector<float>.Zero, Vector<float>.Zero);
            for (int i = lane; i < whole; i += Lanes)
            {
                var v = Vector.LoadUnsafe(ref source, (nuint)i);
                var w = Vector.LoadUnsafe(ref source, (nuint)(i + Vector<float>.Count));
                first = Simd.MultiplyAdd(v, v, first);
                second = Simd.MultiplyAdd(w, w, second);
            }
            first.CopyTo(lanes[lane..]);
            second.CopyTo(lanes[(lane + Vector<float>.Count)..]);
        }
        AddSquares(x, whole, lanes);
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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddSquares(ReadOnlySpan<float> x, int from, Span<float> lanes)
    {
        for (int i = from; i < x.Length; i++)
            lanes[Lane(i)] = Simd.MultiplyAdd(x[i], x[i], lanes[Lane(i)]);
    }
}
