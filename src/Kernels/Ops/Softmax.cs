using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>Softmax of a float32 row: exp(x - max) over its sum, summed in the order of <see cref="LaneSum"/>.</summary>
public static class Softmax
{
    /// <summary>Replaces a row by its softmax.</summary>
    /// <param name="x">[n], n at least 1, finite; overwritten.</param>
    public static void Apply(Span<float> x)
    {
        Shapes.AtLeast(x.Length, 1);
        Divide(x, Exponentials(x, Max(x)), x);
    }

    /// <summary>Scalar twin of <see cref="Apply"/>.</summary>
    public static void ApplyScalar(Span<float> x)
    {
        Shapes.AtLeast(x.Length, 1);
        float sum = ExponentialsScalar(x, MaxScalar(x));
        foreach (ref float value in x)
            value /= sum;
    }

    /// <summary>The largest element; x is not empty.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static float Max(ReadOnlySpan<float> x)
    {
        if (x.Length < Vector<float>.Count)
            return MaxScalar(x);
        ref float values = ref MemoryMarshal.GetReference(x);
        var max = Vector.LoadUnsafe(ref values);
        for (int i = Vector<float>.Count; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
            max = Vector.MaxNative(max, Vector.LoadUnsafe(ref values, (nuint)i));
        max = Vector.MaxNative(max, Vector.LoadUnsafe(ref values, (nuint)(x.Length - Vector<float>.Count)));
        float largest = max[0];
        for (int lane = 1; lane < Vector<float>.Count; lane++)
            largest = Math.Max(largest, max[lane]);
        return largest;
    }

    /// <summary>Scalar twin of <see cref="Max"/>.</summary>
    internal static float MaxScalar(ReadOnlySpan<float> x)
    {
        float largest = x[0];
        foreach (float value in x)
            largest = Math.Max(largest, value);
        return largest;
    }

    /// <summary>Replaces x by exp(x - max) and returns the sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static float Exponentials(Span<float> x, float max)
    {
        Span<float> lanes = stackalloc float[LaneSum.Lanes];
        lanes.Clear();
        ref float values = ref MemoryMarshal.GetReference(x);
        var offset = new Vector<float>(max);
        int i = 0;
        for (; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            var e = FastMath.Exp(Vector.LoadUnsafe(ref values, (nuint)i) - offset);
            e.StoreUnsafe(ref values, (nuint)i);
            ref float lane = ref lanes[LaneSum.Lane(i)];
            (Vector.LoadUnsafe(ref lane) + e).StoreUnsafe(ref lane);
        }
        AddExponentials(x, max, i, lanes);
        return LaneSum.Fold(lanes);
    }

    /// <summary>Scalar twin of <see cref="Exponentials"/>.</summary>
    internal static float ExponentialsScalar(Span<float> x, float max)
    {
        Span<float> lanes = stackalloc float[LaneSum.Lanes];
        lanes.Clear();
        AddExponentials(x, max, 0, lanes);
        return LaneSum.Fold(lanes);
    }

    /// <summary>y = x / divisor; y may be x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Divide(ReadOnlySpan<float> x, float divisor, Span<float> y)
    {
        Shapes.Same(y.Length, x.Length);
        ref float source = ref MemoryMarshal.GetReference(x);
        ref float destination = ref MemoryMarshal.GetReference(y);
        int i = 0;
        for (; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
            (Vector.LoadUnsafe(ref source, (nuint)i) / divisor).StoreUnsafe(ref destination, (nuint)i);
        for (; i < x.Length; i++)
            y[i] = x[i] / divisor;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddExponentials(Span<float> x, float max, int from, Span<float> lanes)
    {
        for (int i = from; i < x.Length; i++)
            lanes[LaneSum.Lane(i)] += x[i] = FastMath.Exp(x[i] - max);
    }
}
