using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Processes;

public class LocalCpuTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [CpusFact]
    public async Task As_many_workers_as_cpus_run_on_one_each()
    {
        var cpus = CpuAffinity.Allowed()!.Cpus;
        using var run = Grok1Process.Start(
            "run", "--model", models.Endless(), "--tokens", "5", "--max-tokens", "199000", "--ignore-eos", "--workers", cpus.Count.ToString());
        var line = await run.WaitForErrorLineAsync(line => line.Contains(" ready: worker"));
        var used = ProcessIds.In(line).SelectMany(process => AllowedOf(process).Distinct());
        Assert.Equal(cpus.Select(cpu => cpu.ToString()), used);
    }

    /// <summary>Where each thread of a process may run.</summary>
    private static IEnumerable<string> AllowedOf(int process) => Directory.EnumerateDirectories($"/proc/{process}/task")
        .Select(task => File.ReadLines($"{task}/status").First(line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)).Split('\t')[1]);

    private sealed class CpusFactAttribute : FactAttribute
    {
        public CpusFactAttribute()
        {
            if (CpuAffinity.Allowed()?.Cpus.Count is not (>= 2 and <= 16 and var count) || count != Environment.ProcessorCount)
                Skip = "needs 2 to 16 CPUs of Linux without a quota";
        }
    }
}
