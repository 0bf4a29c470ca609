using BenchmarkDotNet.Attributes;
using Grok1Cluster.Cluster.Wire;

namespace Grok1Cluster.Micro.Bench;

/// <summary>The checksum of a message.</summary>
public class Crc32CBenchmark
{
    private byte[] _bytes = [];

    [Params(12 << 10, 192 << 10)]
    public int Bytes { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _bytes = new byte[Bytes];
        new Random(1).NextBytes(_bytes);
    }

    [Benchmark]
    public uint Compute() => Crc32C.Compute(_bytes);
}
