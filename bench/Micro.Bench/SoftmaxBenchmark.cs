using BenchmarkDotNet.Attributes;
using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Micro.Bench;

/// <summary>Scores of a query head: softmax.</summary>
public class SoftmaxBenchmark
{
    private float[] _scores = [];

    [Params(8, 1024, 8192)]
    public int Length { get; set; }

    [GlobalSetup]
    public void Setup() => _scores = Numbers.Floats(Length);

    [Benchmark]
    public void ApplySoftmax() => Softmax.Apply(_scores);
}
