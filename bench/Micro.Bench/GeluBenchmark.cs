using BenchmarkDotNet.Attributes;
using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Micro.Bench;

/// <summary>The hidden row of an expert: gelu of the gate times up.</summary>
public class GeluBenchmark
{
    private readonly float[] _gate = Numbers.Floats(32768), _up = Numbers.Floats(32768, 2), _y = new float[32768];

    [Benchmark]
    public void Gate() => GeluTanh.Gate(_gate, _up, _y);
}
