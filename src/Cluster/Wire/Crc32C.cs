using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>CRC-32C (Castagnoli; RFC 3720): the checksum of payloads on the wire.</summary>
public static class Crc32C
{
    /// <summary>The checksum of several runs of bytes as if they were one.</summary>
    public static uint Compute(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b = default, ReadOnlySpan<byte> c = default, ReadOnlySpan<byte> d = default) =>
        ~Append(Append(Append(Append(~0u, a), b), c), d);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static uint Append(uint crc, ReadOnlySpan<byte> bytes)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (var word in words)
            crc = BitOperations.Crc32C(crc, word);
        foreach (var value in bytes[(words.Length * sizeof(ulong))..])
            crc = BitOperations.Crc32C(crc, value);
        return crc;
    }
}
