using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// The gate of an expert: <c>gelu(gate) * up</c> with the tanh approximation of gelu (<c>jax.nn.gelu</c>, Hendrycks and
/// Gimpel): <c>x * (1 + tanh(u)) / 2 = x * sigmoid(2u)</c>, <c>u = sqrt(2 / pi) * (x + 0.044715 x^3)</c>.
/// </summary>
public static class GeluTanh
{
    private const float TwoSqrtTwoOverPi = 1.5957691216057308f;
    private const float Cubic = 0.044715f;

    /// <summary>Gates one row.</summary>
    /// <param name="gate">[n], float32, the side that goes through gelu.</param>
    /// <param name="up">[n], float32.</param>
    /// <param name="y">[n], overwritten; may be <paramref name="gate"/> or <paramref name="up"/> itself.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Gate(ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> y)
    {
        Check(gate, up, y);
        ref float gates = ref MemoryMarshal.GetReference(gate);
        ref float ups = ref MemoryMarshal.GetReference(up);
        ref float destination = ref MemoryMarshal.GetReference(y);
        int i = 0;
        for (; i <= gate.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            var x = Vector.LoadUnsafe(ref gates, (nuint)i);
            (Gelu(x) * Vector.LoadUnsafe(ref ups, (nuint)i)).StoreUnsafe(ref destination, (nuint)i);
        }
        for (; i < gate.Length; i++)
            y[i] = Gelu(gate[i]) * up[i];
    }

    /// <summary>Scalar twin of <see cref="Gate"/>.</summary>
    public static void GateScalar(ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> y)
    {
        Check(gate, up, y);
        for (int i = 0; i < gate.Length; i++)
            y[i] = Gelu(gate[i]) * up[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Gelu(Vector<float> x)
    {
        var inner = Simd.MultiplyAdd(x * x * x, new Vector<float>(Cubic), x);
        return x * FastMath.Sigmoid(inner * TwoSqrtTwoOverPi);
    }

    private static float Gelu(float x)
    {
        float inner = Simd.MultiplyAdd(x * x * x, Cubic, x);
        return x * FastMath.Sigmoid(inner * TwoSqrtTwoOverPi);
    }

    private static void Check(ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> y)
    {
        Shapes.Same(up.Length, gate.Length);
        Shapes.Same(y.Length, gate.Length);
    }
}
