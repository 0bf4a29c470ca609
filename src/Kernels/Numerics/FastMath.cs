using System.Numerics;
using System.Runtime.CompilerServices;

namespace Grok1Cluster.Kernels.Numerics;

/// <summary>
/// exp, sigmoid and tanh of float32, vectors and scalars with the same operations in the same order, hence the same bits.
/// Range reduction and polynomials after Cephes (<c>expf</c>, <c>tanhf</c>, S. Moshier); errors stay
/// below 2 (exp), 3 (sigmoid) and 4 (tanh) units in the last place. NaN gives NaN.
/// </summary>
public static partial class FastMath
{
    // Between these exp stays a normal number: the result saturates at 1.2e-38 and 2.4e38, so neither 0 nor infinity occurs.
    private const float ExpLowest = -87.3f;
    private const float ExpHighest = 88.3762626647949f;

    // Adding 1.5 * 2^23 rounds to an integer and leaves that integer in the low bits of the sum.
    private const float RoundingBias = 12582912f;
    private const float Log2E = 1.44269504088896341f;
    private const float Ln2High = 0.693359375f;
    private const float Ln2Low = -2.12194440e-4f;

    private const float Exp2 = 5.0000001201e-1f, Exp3 = 1.6666665459e-1f, Exp4 = 4.1665795894e-2f;
    private const float Exp5 = 8.3334519073e-3f, Exp6 = 1.3981999507e-3f, Exp7 = 1.9875691500e-4f;

    // Below this 1 - 2 / (exp(2x) + 1) would cancel; an odd polynomial keeps the relative error small.
    private const float TanhSmall = 0.625f;
    private const float Tanh3 = -3.33332819422e-1f, Tanh5 = 1.33314422036e-1f, Tanh7 = -5.37397155531e-2f;
    private const float Tanh9 = 2.06390887954e-2f, Tanh11 = -5.70498872745e-3f;

    /// <summary>e to the x, saturating outside -87.3 to 88.376.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Exp(Vector<float> x)
    {
        // The variable stands second because MaxNative and MinNative return the second operand when one is NaN.
        x = Vector.MaxNative(new Vector<float>(ExpLowest), x);
        x = Vector.MinNative(new Vector<float>(ExpHighest), x);
        var biased = Simd.MultiplyAdd(x, new Vector<float>(Log2E), new Vector<float>(RoundingBias));
        var n = biased - new Vector<float>(RoundingBias);
        var r = Simd.MultiplyAdd(n, new Vector<float>(-Ln2High), x);
        r = Simd.MultiplyAdd(n, new Vector<float>(-Ln2Low), r);
        var p = Simd.MultiplyAdd(new Vector<float>(Exp7), r, new Vector<float>(Exp6));
        p = Simd.MultiplyAdd(p, r, new Vector<float>(Exp5));
        p = Simd.MultiplyAdd(p, r, new Vector<float>(Exp4));
        p = Simd.MultiplyAdd(p, r, new Vector<float>(Exp3));
        p = Simd.MultiplyAdd(p, r, new Vector<float>(Exp2));
        p = Simd.MultiplyAdd(p, r * r, r) + Vector<float>.One;
        var powerOfTwo = Vector.AsVectorInt32(biased) + new Vector<int>(127) << 23;
        return p * Vector.AsVectorSingle(powerOfTwo);
    }

    /// <inheritdoc cref="Exp(Vector{float})"/>
    public static float Exp(float x)
    {
        x = ExpLowest > x ? ExpLowest : x;
        x = ExpHighest < x ? ExpHighest : x;
        float biased = Simd.MultiplyAdd(x, Log2E, RoundingBias);
        float n = biased - RoundingBias;
        float r = Simd.MultiplyAdd(n, -Ln2High, x);
        r = Simd.MultiplyAdd(n, -Ln2Low, r);
        float p = Simd.MultiplyAdd(Exp7, r, Exp6);
        p = Simd.MultiplyAdd(p, r, Exp5);
        p = Simd.MultiplyAdd(p, r, Exp4);
        p = Simd.MultiplyAdd(p, r, Exp3);
        p = Simd.MultiplyAdd(p, r, Exp2);
        p = Simd.MultiplyAdd(p, r * r, r) + 1f;
        return p * BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(biased) + 127 << 23);
    }

    /// <summary>1 / (1 + exp(-x)).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Sigmoid(Vector<float> x) => Vector<float>.One / (Vector<float>.One + Exp(-x));

    /// <inheritdoc cref="Sigmoid(Vector{float})"/>
    public static float Sigmoid(float x) => 1f / (1f + Exp(-x));

    /// <summary>The hyperbolic tangent: a polynomial below 0.625, else by <see cref="Exp(Vector{float})"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Tanh(Vector<float> x)
    {
        var isSmall = Vector.LessThan(Vector.Abs(x), new Vector<float>(TanhSmall));
        var z = x * x;
        var p = Simd.MultiplyAdd(new Vector<float>(Tanh11), z, new Vector<float>(Tanh9));
        p = Simd.MultiplyAdd(p, z, new Vector<float>(Tanh7));
        p = Simd.MultiplyAdd(p, z, new Vector<float>(Tanh5));
        p = Simd.MultiplyAdd(p, z, new Vector<float>(Tanh3));
        var small = Simd.MultiplyAdd(p * z, x, x);
        // Attention's logits are seldom anything else.
        if (Vector.EqualsAll(isSmall, Vector<int>.AllBitsSet))
            return small;
        var large = Vector<float>.One - new Vector<float>(2f) / (Exp(x + x) + Vector<float>.One);
        return Vector.ConditionalSelect(isSmall, small, large);
    }

    /// <inheritdoc cref="Tanh(Vector{float})"/>
    public static float Tanh(float x)
    {
        if (!(MathF.Abs(x) < TanhSmall))
            return 1f - 2f / (Exp(x + x) + 1f);
        float z = x * x;
        float p = Simd.MultiplyAdd(Tanh11, z, Tanh9);
        p = Simd.MultiplyAdd(p, z, Tanh7);
        p = Simd.MultiplyAdd(p, z, Tanh5);
        p = Simd.MultiplyAdd(p, z, Tanh3);
        return Simd.MultiplyAdd(p * z, x, x);
    }
}
