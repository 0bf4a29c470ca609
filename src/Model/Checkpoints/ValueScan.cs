namespace Grok1Cluster.Model.Checkpoints;

/// <summary>
/// Searches mapped values for what no checkpoint may hold. Spans are vectorised by the runtime but end at 2^31 elements, so a
/// search goes in chunks; each returns the first index found, or -1.
/// </summary>
internal static unsafe class ValueScan
{
    /// <summary>Small enough that the second search over a chunk finds it in the cache.</summary>
    private const int Chunk = 1 << 16;

    /// <param name="bits">float32 bits, unaligned.</param>
    public static long FindNonFinite(uint* bits, long count)
    {
        for (var start = 0L; start < count; start += Chunk)
        {
            var chunk = new ReadOnlySpan<uint>(bits + start, Length(start, count));
            var positive = chunk.IndexOfAnyInRange(0x7F800000u, 0x7FFFFFFFu);
            var negative = chunk.IndexOfAnyInRange(0xFF800000u, 0xFFFFFFFFu);
            if (positive >= 0 || negative >= 0)
                return start + (int)Math.Min((uint)positive, (uint)negative);
        }
        return -1;
    }

    public static long FindMinus128(sbyte* values, long count)
    {
        for (var start = 0L; start < count; start += Chunk)
        {
            var found = new ReadOnlySpan<sbyte>(values + start, Length(start, count)).IndexOf((sbyte)-128);
            if (found >= 0)
                return start + found;
        }
        return -1;
    }

    /// <param name="bits">bfloat16 bits, unaligned; 0x0001 to 0x7F7F are the numbers greater than 0 and finite.</param>
    public static long FindNonPositive(ushort* bits, long count)
    {
        for (var start = 0L; start < count; start += Chunk)
        {
            var found = new ReadOnlySpan<ushort>(bits + start, Length(start, count)).IndexOfAnyExceptInRange((ushort)0x0001, (ushort)0x7F7F);
            if (found >= 0)
                return start + found;
        }
        return -1;
    }

    private static int Length(long start, long count) => (int)Math.Min(Chunk, count - start);
}
