using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Coordinator.Local;

/// <summary>
/// CPUs of each local worker, where workers together fill the machine. Left to the system, the threads that receive a layer's calls
/// wake on the CPU that sent them, one behind the other's computation for a scheduler's time slice (1.8 ms were seen, at
/// two of three layers), while another CPU has nothing to do.
/// </summary>
internal static class CpuShares
{
    /// <summary>As many CPUs for each worker as it has threads; none where workers would share them, or leave some to others.</summary>
    /// <param name="allowed">CPUs of this process, if known.</param>
    /// <param name="workers">Workers on this machine.</param>
    /// <param name="threads">Compute threads, shared among the workers.</param>
    public static IReadOnlyList<CpuSet> Of(CpuSet? allowed, int workers, int threads)
    {
        // A quota of processor time below the CPUs there are says that others run here, with the same idea perhaps.
        if (allowed is null || workers < 2 || threads < workers || threads != allowed.Cpus.Count)
            return [];
        var share = threads / workers;
        return [.. Enumerable.Range(0, workers).Select(worker => new CpuSet([.. allowed.Cpus.Skip(worker * share).Take(share)]))];
    }
}
