using BenchmarkDotNet.Attributes;
using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Micro.Bench;

/// <summary>The 48 query heads of a row.</summary>
public class RopeBenchmark
{
    private readonly RopeTable _table = new(128, 10_000, 8192);
    private readonly float[] _heads = Numbers.Floats(48 * 128);

    [Benchmark]
    public void Apply() => Rope.Apply(_table, 4321, _heads);
}
