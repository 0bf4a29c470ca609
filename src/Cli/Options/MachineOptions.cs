using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Options;

/// <summary>The flags that say how a process uses its machine's memory and CPUs, the same for coordinators and workers.</summary>
internal sealed class MachineOptions
{
    private readonly SettingOption<WeightPages> _pages = new(
        "--weight-pages", "machine:weight_pages", TextFormats.Choice<WeightPages>(), WeightPages.Auto, "weights copied into huge pages, or mapped from the files");

    private readonly SettingOption<bool> _lock = new(
        "--lock-memory", "machine:lock_memory", TextFormats.Flag, false, "lock the weights in memory");

    private readonly SettingOption<CpuSet?> _cpus = new(
        "--cpus", "machine:cpus", TextFormats.Cpus, null, "CPUs to run on (default: all)");

    private readonly SettingOption<int?> _numaNode = new(
        "--numa-node", "machine:numa_node", TextFormats.Optional(TextFormats.Count(0, 1023)), null, "NUMA node whose CPUs and memory to use (default: all)");

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _pages, _lock, _cpus, _numaNode })
            command.Add(option);
    }

    /// <summary>Binds this process and its children to the CPUs and the memory that were asked for; before anything is loaded or any thread pool started.</summary>
    /// <exception cref="UsageException">This machine does not have them.</exception>
    public void Bind(VerbContext context)
    {
        try
        {
            if (context.Get(_numaNode) is { } number)
                (NumaNode.All().FirstOrDefault(node => node.Number == number)
                    ?? throw new UsageException($"--numa-node {number}: this machine has nodes {string.Join(", ", NumaNode.All().Select(node => node.Number))}")).Bind();
            if (context.Get(_cpus) is { } cpus)
                CpuAffinity.RestrictProcess(cpus);
        }
        catch (Exception e) when (e is IOException or PlatformNotSupportedException)
        {
            throw new UsageException(e.Message);
        }
    }

    public WeightMemory Weights(VerbContext context) => new(context.Get(_pages), context.Get(_lock));
}
