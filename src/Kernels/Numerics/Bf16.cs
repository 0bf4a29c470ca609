using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Grok1Cluster.Kernels.Numerics;

/// <summary>
/// bfloat16 as its 16 bits: the upper half of a float32. Rounding is to nearest, ties to even; what is too large becomes
/// infinity, and a NaN stays a NaN.
/// </summary>
public static class Bf16
{
    private const uint Infinity = 0x7F80_0000;
    private const uint QuietBit = 0x0040_0000;

    /// <summary>The nearest bfloat16.</summary>
    public static ushort Round(float x)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x);
        bool isNaN = (bits & 0x7FFF_FFFF) > Infinity;
        // Rounding could carry a NaN's payload into the exponent and sign; setting the quiet bit instead cannot.
        return (ushort)((isNaN ? bits | QuietBit : bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    /// <summary>The float32 of the same value.</summary>
    public static float Widen(ushort x) => BitConverter.UInt32BitsToSingle((uint)x << 16);

    /// <summary>Rounds every element.</summary>
    /// <param name="x">[n], float32.</param>
    /// <param name="y">[n], bfloat16 bits, overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Round(ReadOnlySpan<float> x, Span<ushort> y)
    {
        Shapes.Same(y.Length, x.Length);
        ref uint source = ref MemoryMarshal.GetReference(MemoryMarshal.Cast<float, uint>(x));
        ref ushort destination = ref MemoryMarshal.GetReference(y);
        int i = 0;
        for (; i <= x.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            var lower = RoundBits(Vector.LoadUnsafe(ref source, (nuint)i));
            var upper = RoundBits(Vector.LoadUnsafe(ref source, (nuint)(i + Vector<uint>.Count)));
            Vector.Narrow(lower, upper).StoreUnsafe(ref destination, (nuint)i);
        }
        RoundScalar(x[i..], y[i..]);
    }

    /// <summary>Scalar twin of <see cref="Round(ReadOnlySpan{float}, Span{ushort})"/>.</summary>
    public static void RoundScalar(ReadOnlySpan<float> x, Span<ushort> y)
    {
        for (int i = 0; i < x.Length; i++)
            y[i] = Round(x[i]);
    }

    /// <summary>Widens every element.</summary>
    /// <param name="x">[n], bfloat16 bits.</param>
    /// <param name="y">[n], float32, overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Widen(ReadOnlySpan<ushort> x, Span<float> y)
    {
        Shapes.Same(y.Length, x.Length);
        ref ushort source = ref MemoryMarshal.GetReference(x);
        ref float destination = ref MemoryMarshal.GetReference(y);
        int i = 0;
        for (; i <= x.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(Vector.LoadUnsafe(ref source, (nuint)i), out var lower, out var upper);
            Vector.AsVectorSingle(lower << 16).StoreUnsafe(ref destination, (nuint)i);
            Vector.AsVectorSingle(upper << 16).StoreUnsafe(ref destination, (nuint)(i + Vector<uint>.Count));
        }
        WidenScalar(x[i..], y[i..]);
    }

    /// <summary>Scalar twin of <see cref="Widen(ReadOnlySpan{ushort}, Span{float})"/>.</summary>
    public static void WidenScalar(ReadOnlySpan<ushort> x, Span<float> y)
    {
        for (int i = 0; i < x.Length; i++)
            y[i] = Widen(x[i]);
    }

    private static Vector<uint> RoundBits(Vector<uint> bits)
    {
        var isNaN = Vector.GreaterThan(bits & new Vector<uint>(0x7FFF_FFFF), new Vector<uint>(Infinity));
        var rounded = bits + new Vector<uint>(0x7FFF) + (bits >>> 16 & Vector<uint>.One);
        return Vector.ConditionalSelect(isNaN, bits | new Vector<uint>(QuietBit), rounded) >>> 16;
    }

    /// <summary>Eight bfloat16 at any address as float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Vector256<float> Load8(ushort* source)
    {
        if (Avx2.IsSupported)
            return (Avx2.ConvertToVector256Int32(source) << 16).AsSingle();
        var (low, high) = Vector128.Widen(Vector128.Load(source));
        return (Vector256.Create(low, high) << 16).AsSingle();
    }

    /// <summary>Sixteen bfloat16 at any address as float32; with AVX-512 only.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Vector512<float> Load16(ushort* source) => (Avx512F.ConvertToVector512Int32(Vector256.Load(source)) << 16).AsSingle();

    /// <summary>Four bfloat16 at any address as float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Vector128<float> Load4(ushort* source) =>
        (Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)source).AsUInt16()) << 16).AsSingle();
}
