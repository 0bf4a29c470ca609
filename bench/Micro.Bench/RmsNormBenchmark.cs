using BenchmarkDotNet.Attributes;
using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Micro.Bench;

/// <summary>A row of the residual, as wide as Grok-1's.</summary>
public class RmsNormBenchmark
{
    private readonly float[] _x = Numbers.Floats(6144), _scale = Numbers.Floats(6144, 2), _y = new float[6144];

    [Benchmark]
    public void Apply() => RmsNorm.Apply(_x, _scale, 1e-5f, _y);

    [Benchmark]
    public void AddTo() => RmsNorm.AddTo(_x, _scale, 1e-5f, _y);
}
