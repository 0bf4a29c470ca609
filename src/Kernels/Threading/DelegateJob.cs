namespace Grok1Cluster.Kernels.Threading;

/// <summary>A job made of a delegate: create it once, run it often.</summary>
public sealed class DelegateJob(Action<int> execute) : IComputeJob
{
    public void Execute(int part) => execute(part);
}
