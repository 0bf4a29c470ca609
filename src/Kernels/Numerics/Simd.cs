using System.Numerics;
using System.Runtime.CompilerServices;

namespace Grok1Cluster.Kernels.Numerics;

/// <summary>
/// The float32 kernels are written once over <see cref="Vector{T}"/>, which the JIT turns into 256-bit code where there is
/// AVX2 and into 128-bit code elsewhere. What a lane computes never depends on how many lanes there are, so scalar code
/// made of the same operations gives the same bits: it is the tail of every loop and the twin that tests compare with.
/// </summary>
internal static class Simd
{
    /// <summary><c>a * b + c</c>, rounded once where the processor can, else twice (software fusing is far too slow).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> MultiplyAdd(Vector<float> a, Vector<float> b, Vector<float> c) =>
        CpuFeatures.HasFusedMultiplyAdd ? Vector.FusedMultiplyAdd(a, b, c) : a * b + c;

    /// <inheritdoc cref="MultiplyAdd(Vector{float}, Vector{float}, Vector{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MultiplyAdd(float a, float b, float c) =>
        CpuFeatures.HasFusedMultiplyAdd ? MathF.FusedMultiplyAdd(a, b, c) : a * b + c;
}
