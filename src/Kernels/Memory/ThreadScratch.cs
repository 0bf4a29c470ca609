namespace Grok1Cluster.Kernels.Memory;

/// <summary>Scratch memory of the calling thread: grows by doubling, is kept, and holds nothing between uses.</summary>
public static unsafe class ThreadScratch
{
    [ThreadStatic]
    private static NativeBuffer<float>? t_floats;

    /// <summary>At least <paramref name="count"/> floats with undefined content, until this thread asks again.</summary>
    public static float* Floats(long count)
    {
        if (t_floats is not { } buffer || buffer.Length < count)
        {
            var length = Math.Max(count, 2 * (t_floats?.Length ?? 2048));
            t_floats?.Dispose();
            t_floats = buffer = new NativeBuffer<float>(length);
        }
        return buffer.Pointer;
    }
}
