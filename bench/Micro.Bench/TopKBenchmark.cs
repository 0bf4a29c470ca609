using BenchmarkDotNet.Attributes;
using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Micro.Bench;

/// <summary>A row's router: the logits of 8 experts, and the best two.</summary>
public class TopKBenchmark
{
    private readonly float[] _x = Numbers.Floats(6144), _router = Numbers.Floats(6144 * 8, 2), _logits = new float[8], _gates = new float[2];
    private readonly float[] _fixed = Numbers.Floats(8, 3);
    private readonly int[] _chosen = new int[2];

    [Benchmark]
    public void Logits() => RouterLogits.Compute(_x, _router, _logits);

    [Benchmark]
    public void Choose() => TopK.Choose(_fixed, _chosen, _gates);
}
