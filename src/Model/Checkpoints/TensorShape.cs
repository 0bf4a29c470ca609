namespace Grok1Cluster.Model.Checkpoints;

/// <summary>Arithmetic and text of row-major shapes.</summary>
internal static class TensorShape
{
    /// <summary>Elements in a shape that was checked before.</summary>
    public static long Count(IReadOnlyList<long> shape)
    {
        var count = 1L;
        foreach (var size in shape)
            count = checked(count * size);
        return count;
    }

    /// <summary>Bytes of an array, or false where a size is less than 1 or the product passes <paramref name="limit"/> (or overflows).</summary>
    public static bool TryBytes(IReadOnlyList<long> shape, int elementBytes, long limit, out long bytes)
    {
        bytes = elementBytes;
        foreach (var size in shape)
        {
            if (size < 1 || size > limit / bytes)
                return false;
            bytes *= size;
        }
        return bytes <= limit;
    }

    /// <summary>The coordinates of the element with a row-major index.</summary>
    public static long[] Position(IReadOnlyList<long> shape, long index)
    {
        var position = new long[shape.Count];
        for (var axis = shape.Count - 1; axis >= 0; axis--)
            (index, position[axis]) = Math.DivRem(index, shape[axis]);
        return position;
    }

    public static string Describe(IReadOnlyList<long> shape) => $"[{string.Join(", ", shape)}]";
}
