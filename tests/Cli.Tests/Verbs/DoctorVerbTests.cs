using System.Runtime.InteropServices;
using System.Text.Json;
using Grok1Cluster.Kernels.Cuda.Driver;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

/// <summary>What a machine has, and what a process does that is asked for a GPU it has not.</summary>
public sealed class DoctorVerbTests
{
    [Fact]
    public async Task Every_finding_that_is_not_good_says_what_to_do()
    {
        var result = await Grok1Process.RunAsync("doctor", "--json");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        using var json = JsonDocument.Parse(result.Output);
        var root = json.RootElement;
        var findings = root.GetProperty("findings").EnumerateArray().ToDictionary(finding => finding.GetProperty("area").GetString()!);
        Assert.Subset(findings.Keys.ToHashSet(), new HashSet<string> { "processor", "cores", "memory", "huge pages", "NVIDIA driver", "NVRTC" });
        Assert.All(findings.Values, finding => Assert.Contains(finding.GetProperty("state").GetString(), (string[])["ok", "slow", "missing"]));
        Assert.All(findings.Values, finding => Assert.NotEqual("", finding.GetProperty("found").GetString()));
        Assert.Equal(CudaSystem.Missing() is null, root.GetProperty("cuda_usable").GetBoolean());
        if (findings["NVIDIA driver"].GetProperty("state").GetString() == "missing")
            Assert.Contains("install NVIDIA's driver", findings["NVIDIA driver"].GetProperty("advice").GetString());
    }

    [Fact]
    public async Task The_table_has_a_line_for_each_area()
    {
        var result = await Grok1Process.RunAsync("doctor");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Matches(@"(?m)^(ok|slow) +processor +\S", result.Output);
        Assert.Matches(@"(?m)^(ok|missing) +NVRTC +\S", result.Output);
    }

    [NoGpuFact]
    public async Task A_GPU_that_is_not_there_ends_a_worker_with_4_and_one_line_that_says_what_is_missing()
    {
        var result = await Grok1Process.RunAsync("worker", "--model", Demo, "--listen", "127.0.0.1:0", "--device", "cuda:0");
        Assert.Equal((4, ""), (result.ExitCode, result.Output));
        Assert.Single(result.Error.TrimEnd().Split('\n'));
        Assert.Contains($"--device cuda:0: {CudaSystem.Missing()}", result.Error);
    }

    [NoGpuFact]
    public async Task A_GPU_that_is_not_there_ends_a_coordinator_with_4_before_it_starts_any_worker_and_auto_takes_the_CPU()
    {
        string[] logits = ["logits", "--model", Demo, "--tokens", "5,17", "--json"];
        var result = await Grok1Process.RunAsync([.. logits, "--workers", "2", "--device", "cuda:0"]);
        Assert.Equal((4, ""), (result.ExitCode, result.Output));
        Assert.Single(result.Error.TrimEnd().Split('\n'));
        Assert.Contains($"--device cuda:0: {CudaSystem.Missing()}", result.Error);
        var auto = await Grok1Process.RunAsync([.. logits, "--device", "auto"]);
        Assert.Equal((0, (await Grok1Process.RunAsync(logits)).Output), (auto.ExitCode, auto.Output));
    }

    [NoGpuFact]
    public async Task Auto_takes_the_CPU_where_no_GPU_is()
    {
        using var worker = Grok1Process.Start("worker", "--model", Demo, "--listen", "127.0.0.1:0", "--device", "auto");
        var line = await worker.WaitForErrorLineAsync(line => line.Contains("listens on", StringComparison.Ordinal));
        Assert.Matches(@"\(CPU, \d+ threads\), and listens on 127\.0\.0\.1:\d+$", line);
        worker.Signal(PosixSignal.SIGTERM);
        Assert.Equal(0, (await worker.WaitForExitAsync()).ExitCode);
    }

    [Fact]
    public async Task A_device_that_cannot_be_is_refused()
    {
        var result = await Grok1Process.RunAsync("worker", "--model", Demo, "--device", "gpu7");
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains("'gpu7' is not cpu, cuda:0 or another number, or auto", result.Error);
    }

    private static string Demo => Path.Combine(Repository.Root, "models", "demo");

    /// <summary>A fact about machines without a usable GPU.</summary>
    private sealed class NoGpuFactAttribute : FactAttribute
    {
        public NoGpuFactAttribute() => Skip = CudaSystem.Missing() is null ? "this machine has a usable GPU" : null;
    }
}
