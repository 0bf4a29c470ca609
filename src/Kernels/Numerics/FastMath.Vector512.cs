using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Grok1Cluster.Kernels.Numerics;

/// <summary>The same operations in vectors of 512 bits.</summary>
public static partial class FastMath
{
    /// <inheritdoc cref="Exp(System.Numerics.Vector{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        x = Vector512.MaxNative(Vector512.Create(ExpLowest), x);
        x = Vector512.MinNative(Vector512.Create(ExpHighest), x);
        var biased = Vector512.FusedMultiplyAdd(x, Vector512.Create(Log2E), Vector512.Create(RoundingBias));
        var n = biased - Vector512.Create(RoundingBias);
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2High), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2Low), r);
        var p = Vector512.FusedMultiplyAdd(Vector512.Create(Exp7), r, Vector512.Create(Exp6));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(Exp5));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(Exp4));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(Exp3));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(Exp2));
        p = Vector512.FusedMultiplyAdd(p, r * r, r) + Vector512<float>.One;
        var powerOfTwo = biased.AsInt32() + Vector512.Create(127) << 23;
        return p * powerOfTwo.AsSingle();
    }

    /// <inheritdoc cref="Tanh(System.Numerics.Vector{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Tanh(Vector512<float> x)
    {
        var isSmall = Vector512.LessThan(Vector512.Abs(x), Vector512.Create(TanhSmall));
        var z = x * x;
        var p = Vector512.FusedMultiplyAdd(Vector512.Create(Tanh11), z, Vector512.Create(Tanh9));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(Tanh7));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(Tanh5));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(Tanh3));
        var small = Vector512.FusedMultiplyAdd(p * z, x, x);
        if (Vector512.EqualsAll(isSmall.AsInt32(), Vector512<int>.AllBitsSet))
            return small;
        var large = Vector512<float>.One - Vector512.Create(2f) / (Exp(x + x) + Vector512<float>.One);
        return Vector512.ConditionalSelect(isSmall, small, large);
    }
}
