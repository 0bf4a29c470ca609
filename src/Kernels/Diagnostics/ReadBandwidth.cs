using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Diagnostics;

/// <summary>
/// How fast the threads of a pool read memory together: the roof over decoding. A probe holds its memory, so that it can
/// be measured before, between and after what it is compared with; or it reads what is in memory anyway.
/// </summary>
public sealed unsafe class ReadBandwidth : IComputeJob, IDisposable
{
    /// <summary>Far more than any cache holds.</summary>
    public const long DefaultBytes = 1L << 30;

    private const long PartBytes = 4 << 20;
    private readonly ComputePool _pool;
    private readonly NativeBuffer<byte>? _memory;
    private readonly nint[] _parts;
    private readonly byte[] _results;

    /// <param name="pool">The threads that read.</param>
    /// <param name="bytes">Memory to read, rounded up to 4 MiB.</param>
    public ReadBandwidth(ComputePool pool, long bytes = DefaultBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        _pool = pool;
        var parts = checked((int)((bytes + PartBytes - 1) / PartBytes));
        var memory = _memory = new NativeBuffer<byte>(parts * PartBytes);
        _parts = [.. Enumerable.Range(0, parts).Select(part => (nint)(memory.Pointer + part * PartBytes))];
        _results = new byte[parts];
        // Pages never written would all be the same page of zeros, which sits in the cache.
        pool.Run(new DelegateJob(part => memory.Slice(part * PartBytes, (int)PartBytes).Fill((byte)part)), parts);
    }

    /// <summary>Takes no memory of its own, whose pages a system would have to find and to clear.</summary>
    /// <param name="pool">The threads that read.</param>
    /// <param name="memory">What to read: first byte and length of pieces that stay where they are. What of each is less than 4 MiB is left out.</param>
    /// <param name="bytes">Most bytes of it.</param>
    /// <exception cref="ArgumentException">Nothing is left.</exception>
    public ReadBandwidth(ComputePool pool, IEnumerable<(nint Start, long Length)> memory, long bytes)
    {
        _pool = pool;
        _parts = [.. memory.SelectMany(piece => Parts(piece.Start, piece.Length)).Take(checked((int)(bytes / PartBytes)))];
        if (_parts.Length == 0)
            throw new ArgumentException($"no piece of this memory has {PartBytes} bytes", nameof(memory));
        _results = new byte[_parts.Length];
    }

    /// <summary>Bytes that a pass reads.</summary>
    public long Bytes => _parts.Length * PartBytes;

    /// <summary>Best rate of several passes over a gibibyte, in 10^9 bytes a second.</summary>
    public static double Measure(ComputePool pool, int passes = 5)
    {
        using var probe = new ReadBandwidth(pool);
        var best = 0.0;
        for (var pass = 0; pass < passes; pass++)
            best = Math.Max(best, probe.Pass());
        return best;
    }

    /// <summary>Reads the memory once.</summary>
    /// <returns>10^9 bytes a second.</returns>
    public double Pass()
    {
        var start = Stopwatch.GetTimestamp();
        _pool.Run(this, _results.Length);
        return Bytes / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9;
    }

    public void Dispose() => _memory?.Dispose();

    void IComputeJob.Execute(int part) => _results[part] = Read((byte*)_parts[part]);

    private static IEnumerable<nint> Parts(nint start, long length)
    {
        for (long part = 0; part + PartBytes <= length; part += PartBytes)
            yield return start + (nint)part;
    }

    /// <summary>The result depends on every byte, so no load can be left out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static byte Read(byte* source)
    {
        var a = Vector256<byte>.Zero;
        var b = a;
        var c = a;
        var d = a;
        for (var end = source + PartBytes; source < end; source += 128)
        {
            a ^= Vector256.Load(source);
            b ^= Vector256.Load(source + 32);
            c ^= Vector256.Load(source + 64);
            d ^= Vector256.Load(source + 96);
        }
        return Vector256.Sum(a ^ b ^ c ^ d);
    }
}
