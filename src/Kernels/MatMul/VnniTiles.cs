using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>A kind of tile of the AVX-VNNI products as a type, so that one source gives a kernel for each.</summary>
internal interface IVnniTile
{
    static abstract int Rows { get; }

    /// <summary>Whether it asks for the weights that come next: the first tile of some blocks does.</summary>
    static abstract bool Prefetches { get; }
}

/// <summary>What the AVX-VNNI products of int8 and int4 weights have in common.</summary>
internal static unsafe class VnniTiles
{
    /// <summary>Four activations of a row, in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<sbyte> Broadcast(sbyte* four) => Vector256.Create(Unsafe.ReadUnaligned<int>(four)).AsSByte();

    public readonly struct One : IVnniTile
    {
        public static int Rows => 1;

        public static bool Prefetches => false;
    }

    public readonly struct Two : IVnniTile
    {
        public static int Rows => 2;

        public static bool Prefetches => false;
    }

    public readonly struct Three : IVnniTile
    {
        public static int Rows => 3;

        public static bool Prefetches => false;
    }

    public readonly struct FirstTwo : IVnniTile
    {
        public static int Rows => 2;

        public static bool Prefetches => true;
    }

    public readonly struct FirstThree : IVnniTile
    {
        public static int Rows => 3;

        public static bool Prefetches => true;
    }
}
