using System.Reflection;
using System.Runtime.InteropServices;
using Grok1Cluster.Kernels;

namespace Grok1Cluster.Coordinator.Bench;

/// <summary>Where something was measured.</summary>
/// <param name="Cpu">The processor's name.</param>
/// <param name="Cores">Processors that the system shows.</param>
/// <param name="MemoryBytes">Of the whole machine, or what a container may use.</param>
/// <param name="Os">The system's name.</param>
/// <param name="KernelId">The instruction set that the kernels use.</param>
/// <param name="LoadAverage">Processes that wanted to run in the minute before; null where the system does not count them. Above 0.5 others were at work.</param>
public sealed record MachineInfo(string Cpu, int Cores, long MemoryBytes, string Os, string KernelId, double? LoadAverage)
{
    /// <summary>This machine, now.</summary>
    public static MachineInfo Here() => new(
        Value("/proc/cpuinfo", "model name") ?? RuntimeInformation.ProcessArchitecture.ToString(), Environment.ProcessorCount,
        GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, RuntimeInformation.OSDescription, CpuFeatures.KernelId, Load());

    /// <summary>Version of this program, and the commit that it was built from where the build knew it.</summary>
    public static (string Version, string? Commit) Program()
    {
        var whole = typeof(MachineInfo).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "";
        return whole.IndexOf('+') is var plus and >= 0 ? (whole[..plus], whole[(plus + 1)..]) : (whole, null);
    }

    private static double? Load() =>
        ReadLines("/proc/loadavg").FirstOrDefault() is { } line && double.TryParse(line.Split(' ')[0], out var load) ? load : null;

    private static string? Value(string path, string key) =>
        ReadLines(path).FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal)) is { } line ? line[(line.IndexOf(':') + 1)..].Trim() : null;

    private static string[] ReadLines(string path)
    {
        try
        {
            return File.ReadAllLines(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
