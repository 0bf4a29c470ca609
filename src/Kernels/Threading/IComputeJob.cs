namespace Grok1Cluster.Kernels.Threading;

/// <summary>Work cut into parts that may run at the same time.</summary>
public interface IComputeJob
{
    /// <summary>
    /// Computes one part. Any thread may run any part, in any order, so a part writes only what is its own, and what it
    /// computes depends on its number alone: then results are the same for every number of threads.
    /// </summary>
    void Execute(int part);
}
