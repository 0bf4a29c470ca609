using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// Root mean square norm of one row (xAI's <c>RMSNorm</c>): <c>x / sqrt(mean(x^2) + epsilon) * scale</c>, float32.
/// The squares are summed in the order of <see cref="LaneSum"/>, so a row gives the same bits wherever it is computed.
/// </summary>
public static class RmsNorm
{
    /// <summary>Normalises one row.</summary>
    /// <param name="x">[n], n at least 1.</param>
    /// <param name="scale">[n], the learned weights.</param>
    /// <param name="epsilon">Added to the mean of the squares.</param>
    /// <param name="y">[n], overwritten; may be <paramref name="x"/> itself.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Apply(ReadOnlySpan<float> x, ReadOnlySpan<float> scale, float epsilon, Span<float> y)
    {
        Check(x, scale, y);
        float factor = Factor(LaneSum.OfSquares(x), x.Length, epsilon);
        ref float source = ref MemoryMarshal.GetReference(x);
        ref float weights = ref MemoryMarshal.GetReference(scale);
        ref float destination = ref MemoryMarshal.GetReference(y);
        int i = 0;
        for (; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
            (Vector.LoadUnsafe(ref source, (nuint)i) * factor * Vector.LoadUnsafe(ref weights, (nuint)i)).StoreUnsafe(ref destination, (nuint)i);
        for (; i < x.Length; i++)
            y[i] = x[i] * factor * scale[i];
    }

    /// <summary>Adds the normalised row to the residual stream; the bits of <see cref="Apply"/> followed by an addition.</summary>
    /// <param name="x">[n], n at least 1.</param>
    /// <param name="scale">[n], the learned weights.</param>
    /// <param name="epsilon">Added to the mean of the squares.</param>
    /// <param name="residual">[n], added to; must not overlap <paramref name="x"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddTo(ReadOnlySpan<float> x, ReadOnlySpan<float> scale, float epsilon, Span<float> residual)
    {
        Check(x, scale, residual);
        float factor = Factor(LaneSum.OfSquares(x), x.Length, epsilon);
        ref float source = ref MemoryMarshal.GetReference(x);
        ref float weights = ref MemoryMarshal.GetReference(scale);
        ref float destination = ref MemoryMarshal.GetReference(residual);
        int i = 0;
        for (; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            var normed = Vector.LoadUnsafe(ref source, (nuint)i) * factor * Vector.LoadUnsafe(ref weights, (nuint)i);
            (Vector.LoadUnsafe(ref destination, (nuint)i) + normed).StoreUnsafe(ref destination, (nuint)i);
        }
        for (; i < x.Length; i++)
            residual[i] += x[i] * factor * scale[i];
    }

    /// <summary>Scalar twin of <see cref="Apply"/>.</summary>
    public static void ApplyScalar(ReadOnlySpan<float> x, ReadOnlySpan<float> scale, float epsilon, Span<float> y)
    {
        Check(x, scale, y);
        float factor = Factor(LaneSum.OfSquaresScalar(x), x.Length, epsilon);
        for (int i = 0; i < x.Length; i++)
            y[i] = x[i] * factor * scale[i];
    }

    /// <summary>Scalar twin of <see cref="AddTo"/>.</summary>
    public static void AddToScalar(ReadOnlySpan<float> x, ReadOnlySpan<float> scale, float epsilon, Span<float> residual)
    {
        Check(x, scale, residual);
        float factor = Factor(LaneSum.OfSquaresScalar(x), x.Length, epsilon);
        for (int i = 0; i < x.Length; i++)
            residual[i] += x[i] * factor * scale[i];
    }

    private static float Factor(float sumOfSquares, int count, float epsilon) =>
        1f / MathF.Sqrt(sumOfSquares / count + epsilon);

    private static void Check(ReadOnlySpan<float> x, ReadOnlySpan<float> scale, Span<float> y)
    {
        Shapes.AtLeast(x.Length, 1);
        Shapes.Same(scale.Length, x.Length);
        Shapes.Same(y.Length, x.Length);
    }
}
