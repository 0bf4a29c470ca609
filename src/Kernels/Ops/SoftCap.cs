using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// Soft cap of attention logits: <c>cap * tanh(multiplier * x / cap)</c> (xAI's <c>MultiHeadAttention</c>: 30 in Grok-1).
/// </summary>
public static class SoftCap
{
    /// <summary>Scales and caps every element in place.</summary>
    /// <param name="x">[n], float32, overwritten.</param>
    /// <param name="multiplier">Factor applied before the cap.</param>
    /// <param name="cap">Bound on the magnitude, above 0.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Apply(Span<float> x, float multiplier, float cap)
    {
        Check(cap);
        ref float values = ref MemoryMarshal.GetReference(x);
        var (vMultiplier, vCap) = (new Vector<float>(multiplier), new Vector<float>(cap));
        int i = 0;
        for (; i <= x.Length - Vector<float>.Count; i += Vector<float>.Count)
            (vCap * FastMath.Tanh(Vector.LoadUnsafe(ref values, (nuint)i) * vMultiplier / vCap)).StoreUnsafe(ref values, (nuint)i);
        for (; i < x.Length; i++)
            x[i] = Value(x[i], multiplier, cap);
    }

    /// <summary>Scalar twin of <see cref="Apply"/>.</summary>
    public static void ApplyScalar(Span<float> x, float multiplier, float cap)
    {
        Check(cap);
        foreach (ref float value in x)
            value = Value(value, multiplier, cap);
    }

    private static float Value(float x, float multiplier, float cap) => cap * FastMath.Tanh(x * multiplier / cap);

    private static void Check(float cap)
    {
        if (!(cap > 0))
            throw new ArgumentException($"cap is {cap}; it must be above 0.");
    }
}
