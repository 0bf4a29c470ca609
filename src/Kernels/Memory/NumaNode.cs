using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Memory;

/// <summary>A socket's CPUs and the memory next to them (Linux).</summary>
/// <param name="Number">As the kernel counts.</param>
/// <param name="Cpus">Its logical CPUs.</param>
public sealed unsafe partial record NumaNode(int Number, CpuSet Cpus)
{
    private const string NodesFolder = "/sys/devices/system/node";
    private const int PolicyBind = 2;

    /// <summary>Nodes with CPUs, in order; empty where the system names none.</summary>
    public static IReadOnlyList<NumaNode> All()
    {
        if (!Directory.Exists(NodesFolder))
            return [];
        return [.. Directory.EnumerateDirectories(NodesFolder, "node*")
            .Select(folder => (Number: int.TryParse(Path.GetFileName(folder).AsSpan(4), out var number) ? number : -1, List: Path.Combine(folder, "cpulist")))
            .Where(node => node.Number >= 0 && File.Exists(node.List))
            .Select(node => CpuSet.TryParse(File.ReadAllText(node.List), out var cpus) ? new NumaNode(node.Number, cpus) : null)
            .OfType<NumaNode>().OrderBy(node => node.Number)];
    }

    /// <summary>Moves this process here: its threads run on these CPUs, and the calling thread and those it starts from now on allocate here.</summary>
    /// <exception cref="IOException">The system refuses.</exception>
    public void Bind()
    {
        CpuAffinity.RestrictProcess(Cpus);
        Span<ulong> mask = stackalloc ulong[CpuSet.Limit / 64];
        mask.Clear();
        mask[Number / 64] = 1UL << (Number % 64);
        var call = RuntimeInformation.ProcessArchitecture switch { Architecture.X64 => 238, Architecture.Arm64 => 237, _ => -1 };
        fixed (ulong* bits = mask)
            if (call < 0 || SetMemoryPolicy(call, PolicyBind, bits, CpuSet.Limit) != 0)
                throw new IOException($"memory of NUMA node {Number} cannot be chosen: {(call < 0 ? "unknown processor" : Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError()))}");
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SetMemoryPolicy(nint call, nint policy, ulong* nodes, nint limit);
}
