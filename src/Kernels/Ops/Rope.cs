using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// Rotary position embedding over the two halves of a head: element i pairs with i + HeadDim / 2 (xAI's
/// <c>rotate_half</c>), not with its neighbour. No fused operation is used, so the bits are the same on every processor.
/// </summary>
public static class Rope
{
    /// <summary>Rotates every head of a row in place.</summary>
    /// <param name="table">Angles for this head width.</param>
    /// <param name="position">Absolute position of the row in its sequence, from 0.</param>
    /// <param name="heads">[heads, HeadDim], query or key heads, rotated in place.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Apply(RopeTable table, int position, Span<float> heads)
    {
        Check(table, heads);
        int half = table.HeadDim / 2;
        ref float cosines = ref MemoryMarshal.GetReference(table.Cosines(position));
        ref float sines = ref MemoryMarshal.GetReference(table.Sines(position));
        for (int head = 0; head < heads.Length; head += table.HeadDim)
        {
            ref float x = ref heads[head];
            ref float y = ref heads[head + half];
            int i = 0;
            for (; i <= half - Vector<float>.Count; i += Vector<float>.Count)
            {
                var (vx, vy) = (Vector.LoadUnsafe(ref x, (nuint)i), Vector.LoadUnsafe(ref y, (nuint)i));
                var (cosine, sine) = (Vector.LoadUnsafe(ref cosines, (nuint)i), Vector.LoadUnsafe(ref sines, (nuint)i));
                (vx * cosine - vy * sine).StoreUnsafe(ref x, (nuint)i);
                (vy * cosine + vx * sine).StoreUnsafe(ref y, (nuint)i);
            }
            Rotate(table, position, heads.Slice(head, table.HeadDim), i);
        }
    }

    /// <summary>Scalar twin of <see cref="Apply"/>.</summary>
    public static void ApplyScalar(RopeTable table, int position, Span<float> heads)
    {
        Check(table, heads);
        for (int head = 0; head < heads.Length; head += table.HeadDim)
            Rotate(table, position, heads.Slice(head, table.HeadDim), 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rotate(RopeTable table, int position, Span<float> head, int from)
    {
        int half = table.HeadDim / 2;
        var cosines = table.Cosines(position);
        var sines = table.Sines(position);
        for (int i = from; i < half; i++)
        {
            var (x, y) = (head[i], head[i + half]);
            head[i] = x * cosines[i] - y * sines[i];
            head[i + half] = y * cosines[i] + x * sines[i];
        }
    }

    private static void Check(RopeTable table, Span<float> heads)
    {
        if (heads.Length % table.HeadDim != 0)
            throw new ArgumentException($"heads has {heads.Length} elements, not a multiple of HeadDim {table.HeadDim}.");
    }
}
