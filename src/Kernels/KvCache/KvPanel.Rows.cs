using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Grok1Cluster.Kernels.KvCache;

/// <summary>How a row's elements at lane and lane + 16 become float32, for each element type and vector width.</summary>
internal static unsafe partial class KvPanel
{
    private interface IRow<TVector>
    {
        static abstract int Bytes { get; }

        static abstract void Prefetch(byte* row, int lane);

        static abstract void Load(byte* row, int lane, out TVector low, out TVector high);
    }

    private readonly struct Float32Row : IRow<Vector<float>>, IRow<Vector512<float>>
    {
        public static int Bytes => Width * sizeof(float);

        // A row is two cache lines, read from lane and from lane + 16.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prefetch(byte* row, int lane)
        {
            if (Sse.IsSupported)
            {
                Sse.Prefetch0(row + lane * sizeof(float));
                Sse.Prefetch0(row + (lane + Half) * sizeof(float));
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(byte* row, int lane, out Vector<float> low, out Vector<float> high)
        {
            low = Vector.Load((float*)row + lane);
            high = Vector.Load((float*)row + lane + Half);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(byte* row, int lane, out Vector512<float> low, out Vector512<float> high)
        {
            low = Vector512.Load((float*)row + lane);
            high = Vector512.Load((float*)row + lane + Half);
        }
    }

    private readonly struct Bf16Row : IRow<Vector<float>>, IRow<Vector512<float>>
    {
        public static int Bytes => Width * sizeof(ushort);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prefetch(byte* row, int lane)
        {
            if (Sse.IsSupported)
                Sse.Prefetch0(row + lane * sizeof(uint));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(byte* row, int lane, out Vector<float> low, out Vector<float> high)
        {
            var words = Vector.Load((uint*)row + lane);
            low = Vector.AsVectorSingle(words << 16);
            high = Vector.AsVectorSingle(words & new Vector<uint>(0xFFFF_0000));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(byte* row, int lane, out Vector512<float> low, out Vector512<float> high)
        {
            var words = Vector512.Load((uint*)row + lane);
            low = (words << 16).AsSingle();
            high = (words & Vector512.Create(0xFFFF_0000)).AsSingle();
        }
    }

    private readonly struct Int8Row : IRow<Vector<float>>, IRow<Vector512<float>>
    {
        public static int Bytes => Width;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prefetch(byte* row, int lane)
        {
            if (Sse.IsSupported)
                Sse.Prefetch0(row);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(byte* row, int lane, out Vector<float> low, out Vector<float> high)
        {
            low = Widen((sbyte*)row + lane);
            high = Widen((sbyte*)row + lane + Half);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(byte* row, int lane, out Vector512<float> low, out Vector512<float> high)
        {
            low = Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load((sbyte*)row + lane)));
            high = Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load((sbyte*)row + lane + Half)));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector<float> Widen(sbyte* source)
        {
            if (Vector<float>.Count == 8 && Avx2.IsSupported)
                return Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(source)).AsVector();
            if (Vector<float>.Count == 4)
            {
                var words = Vector128.WidenLower(Vector128.CreateScalar(Unsafe.ReadUnaligned<int>(source)).AsSByte());
                return Vector128.ConvertToSingle(Vector128.WidenLower(words)).AsVector();
            }
            Span<float> elements = stackalloc float[Vector<float>.Count];
            for (int i = 0; i < elements.Length; i++)
                elements[i] = source[i];
            return new Vector<float>(elements);
        }
    }
}
