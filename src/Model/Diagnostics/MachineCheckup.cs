using Grok1Cluster.Kernels;
using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Driver;
using Grok1Cluster.Kernels.MachineCode;
using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Model.Diagnostics;

/// <summary>How a finding matters.</summary>
public enum FindingState
{
    /// <summary>There, and as it should be.</summary>
    Ok,

    /// <summary>Works, and could work better.</summary>
    Slow,

    /// <summary>Not there.</summary>
    Missing,
}

/// <summary>One thing that was looked at.</summary>
/// <param name="Area">What: processor, memory, driver ...</param>
/// <param name="State">How it matters.</param>
/// <param name="Found">What was found.</param>
/// <param name="Advice">What to do about it; null when there is nothing to do.</param>
public sealed record Finding(string Area, FindingState State, string Found, string? Advice = null);

/// <summary>What this machine has for computing, what it lacks, and how to get that. Nothing is measured and nothing changed.</summary>
/// <param name="KernelId">The processor's kernels.</param>
/// <param name="CudaUsable">Whether <c>--device cuda:N</c> has all it needs.</param>
/// <param name="Findings">In the order in which they matter.</param>
/// <param name="Devices">GPUs that the driver shows.</param>
public sealed record MachineCheckup(string KernelId, bool CudaUsable, IReadOnlyList<Finding> Findings, IReadOnlyList<CudaDeviceInfo> Devices)
{
    private const string HugePagesFile = "/sys/kernel/mm/transparent_hugepage/enabled";

    /// <summary>Looks at everything.</summary>
    public static MachineCheckup Run()
    {
        var missing = CudaSystem.Missing();
        var devices = DevicesOrNone();
        return new MachineCheckup(CpuFeatures.KernelId, missing is null, [Processor(), Cores(), Memory(), HugePages(), .. Cuda(missing, devices)], devices);
    }

    private static Finding Processor() => CpuFeatures.InstructionSet switch
    {
        _ when Amx.IsSupported => new Finding("processor", FindingState.Ok, "AMX: int8 products of many rows by tiles; AVX512-VNNI for the others"),
        _ when Avx512Vnni.IsSupported => new Finding("processor", FindingState.Ok, "AVX512-VNNI: int8 products by single instructions of 512 bits"),
        "x64-avxvnni" => new Finding("processor", FindingState.Ok, "AVX-VNNI: int8 products by single instructions"),
        "x64-avx2" => new Finding("processor", FindingState.Ok, "AVX2; AVX-VNNI, which newer processors have, is about twice as fast at prefill"),
        "arm64-neon" => new Finding("processor", FindingState.Ok, "64-bit Arm, 128-bit vectors"),
        var other => new Finding("processor", FindingState.Slow, $"no AVX2 ({other})", "kernels fall back to 128-bit vectors; take a processor of the last ten years"),
    };

    private static Finding Cores()
    {
        var nodes = NumaNode.All();
        return new Finding(
            "cores", FindingState.Ok, $"{Environment.ProcessorCount} logical CPUs{(nodes.Count > 1 ? $" on {nodes.Count} NUMA nodes" : "")}",
            nodes.Count > 1 ? "run a worker on each node (--numa-node N, or --numa-spread for workers that run, up and serve start)" : null);
    }

    private static Finding Memory() => new("memory", FindingState.Ok, $"{ByteSize.Format(MemoryBudget.Available())} available");

    private static Finding HugePages()
    {
        const string area = "huge pages";
        try
        {
            if (!File.Exists(HugePagesFile))
                return new Finding(area, FindingState.Slow, "the kernel has no transparent huge pages", "weights are read from 4 KiB pages, which costs a few percent");
            var mode = File.ReadAllText(HugePagesFile).Trim();
            return mode.Contains("[never]", StringComparison.Ordinal)
                ? new Finding(area, FindingState.Slow, mode, $"as root: echo madvise > {HugePagesFile}")
                : new Finding(area, FindingState.Ok, mode);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Finding(area, FindingState.Slow, $"cannot be read: {e.Message}");
        }
    }

    private static IEnumerable<Finding> Cuda(string? missing, IReadOnlyList<CudaDeviceInfo> devices)
    {
        yield return CudaSystem.DriverVersion is { } driver
            ? new Finding("NVIDIA driver", FindingState.Ok, $"for CUDA {driver}")
            : new Finding("NVIDIA driver", FindingState.Missing, "no libcuda.so.1", CudaSystem.DriverAdvice);
        yield return CudaSystem.CompilerVersion is { } compiler
            ? new Finding("NVRTC", FindingState.Ok, $"{compiler} ({CudaSystem.CompilerPath})")
            : new Finding("NVRTC", FindingState.Missing, "no libnvrtc.so", CudaSystem.CompilerAdvice);
        foreach (var device in devices)
            yield return device.Architecture >= CudaDeviceInfo.LeastArchitecture
                ? new Finding($"cuda:{device.Ordinal}", FindingState.Ok, Describe(device))
                : new Finding($"cuda:{device.Ordinal}", FindingState.Missing, Describe(device), "compute capability 7.5 and later are supported");
        if (devices.Count == 0)
            yield return new Finding("GPU", FindingState.Missing, "none", "the CPU computes everything; --device auto takes it too");
        yield return missing is null
            ? new Finding("--device cuda:N", FindingState.Ok, "has all it needs; the GPU kernels have never run on a GPU yet (docs/cuda.md)")
            : new Finding("--device cuda:N", FindingState.Missing, missing);
    }

    private static string Describe(CudaDeviceInfo device) =>
        $"{device.Name}, compute capability {device.Architecture / 10}.{device.Architecture % 10}, {device.Multiprocessors} multiprocessors, {ByteSize.Format(device.MemoryBytes)}";

    private static IReadOnlyList<CudaDeviceInfo> DevicesOrNone()
    {
        try
        {
            return CudaSystem.Devices();
        }
        catch (CudaException)
        {
            // Missing() says why.
            return [];
        }
    }
}
