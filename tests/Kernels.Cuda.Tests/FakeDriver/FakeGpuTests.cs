using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Grok1Cluster.Kernels.Cuda.Tests.Kernels;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Kernels.Cuda.Tests.FakeDriver;

/// <summary>
/// Whole processes over the fake driver: the road through the driver's functions, NVRTC, the kernel cache, graphs and a worker's
/// life. What computes is the emulator.
/// </summary>
public sealed class FakeGpuTests(FakeGpu gpu) : IClassFixture<FakeGpu>
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);
    private static readonly string Model = Path.Combine(Repository.TestData, "tiny-a");

    [EmulatedFact]
    public async Task Two_workers_that_share_a_GPU_answer_with_the_tokens_of_the_CPU()
    {
        var plan = gpu.At("plan.json");
        Assert.Equal(0, (await Grok1Process.RunAsync(gpu.Grok1("plan", "--model", Model, "--workers", "2", "--plan", "sliced", "--out", plan), timeout: Patience)).ExitCode);
        using var first = await StartAsync("worker-0", plan);
        using var second = await StartAsync("worker-1", plan);
        var addresses = $"{first.Address},{second.Address}";
        foreach (var precision in (string[])["exact", "fast"])
        {
            string[] run = ["run", "--model", Model, "--plan", plan, "--tokens", string.Join(',', Enumerable.Range(3, 40)), "--max-tokens", "6", "--temperature", "0", "--ignore-eos", "--precision", precision, "--json"];
            Assert.Equal(await TokensAsync([.. run, "--workers", "2"]), await TokensAsync([.. run, "--worker-address", addresses]));
        }
        foreach (var worker in (Worker[])[first, second])
        {
            worker.Process.Signal(PosixSignal.SIGTERM);
            Assert.Equal(0, (await worker.Process.WaitForExitAsync(Patience)).ExitCode);
        }
    }

    [EmulatedFact]
    public async Task A_worker_on_a_GPU_that_holds_nothing_takes_what_a_coordinator_gives_it()
    {
        using var worker = await StartAsync("worker-0", plan: null, "--hold", "none");
        string[] run = ["run", "--model", Model, "--tokens", string.Join(',', Enumerable.Range(3, 20)), "--max-tokens", "4", "--temperature", "0", "--ignore-eos", "--json"];
        Assert.Equal(await TokensAsync([.. run, "--workers", "1"]), await TokensAsync([.. run, "--worker-address", worker.Address]));
        using var description = JsonDocument.Parse((await Grok1Process.RunAsync("run", "--model", Model, "--tokens", "5", "--max-tokens", "1", "--json", "--worker-address", worker.Address)).Output);
        Assert.True(description.RootElement.GetProperty("workers")[0].GetProperty("tiles").GetInt32() > 0);
    }

    [EmulatedFact]
    public async Task Auto_takes_the_CPU_and_says_why_where_a_GPU_has_too_little_memory()
    {
        string[] run = ["run", "--model", Model, "--workers", "0", "--tokens", "5,17", "--max-tokens", "1", "--json", "--device"];
        var auto = await Grok1Process.RunAsync(Small(gpu.Grok1([.. run, "auto"])), timeout: Patience);
        Assert.Equal(0, auto.ExitCode);
        Assert.Contains("--device auto takes the CPU: Fake GPU has ", auto.Error);
        Assert.DoesNotContain("attention, router", auto.Error);
        var named = await Grok1Process.RunAsync(Small(gpu.Grok1([.. run, "cuda:0"])), timeout: Patience);
        Assert.Equal((4, ""), (named.ExitCode, named.Output));

        string[] worker = ["worker", "--model", Model, "--listen", "127.0.0.1:0", "--threads", "1", "--device"];
        using var onCpu = Grok1Process.Start(Small(gpu.Grok1([.. worker, "auto"])));
        await onCpu.WaitForErrorLineAsync(text => text.Contains("(CPU, 1 threads), and listens on", StringComparison.Ordinal), Patience);
        onCpu.Signal(PosixSignal.SIGTERM);
        Assert.Contains("--device auto takes the CPU: ", (await onCpu.WaitForExitAsync(Patience)).Error);
        Assert.Equal(4, (await Grok1Process.RunAsync(Small(gpu.Grok1([.. worker, "cuda:0"])), timeout: Patience)).ExitCode);

        static ProcessStartInfo Small(ProcessStartInfo start)
        {
            start.Environment["FAKE_CUDA_MEMORY"] = "100000";
            return start;
        }
    }

    [EmulatedFact]
    public async Task A_coordinator_on_a_GPU_answers_with_the_tokens_of_the_CPU()
    {
        foreach (var precision in (string[])["exact", "fast"])
        {
            string[] run = ["run", "--model", Model, "--workers", "0", "--tokens", string.Join(',', Enumerable.Range(3, 40)), "--max-tokens", "6", "--temperature", "0", "--ignore-eos", "--precision", precision, "--json"];
            var onGpu = await Grok1Process.RunAsync(gpu.Grok1([.. run, "--device", "cuda:0"]), timeout: Patience);
            Assert.Contains($"attention, router, KV cache{(precision == "exact" ? "" : " and head")} on Fake GPU", onGpu.Error);
            Assert.Equal(await TokensAsync(run), Tokens(onGpu));
        }
    }

    [EmulatedFact]
    public async Task A_serving_coordinator_whose_GPU_fails_ends_with_4_and_says_so()
    {
        using var serve = Grok1Process.Start(gpu.Grok1("serve", "--model", Model, "--workers", "0", "--port", "0", "--device", "cuda:0"));
        var line = await serve.WaitForErrorLineAsync(text => text.Contains("serving ", StringComparison.Ordinal), Patience);
        File.WriteAllText(gpu.FailFile, "");
        try
        {
            using var client = new HttpClient { Timeout = Patience };
            var request = client.PostAsync($"{line[line.IndexOf("http://", StringComparison.Ordinal)..].Trim()}/v1/completions", new StringContent("""{"prompt":[5,17],"max_tokens":1}""", Encoding.UTF8, "application/json"));
            var end = await serve.WaitForExitAsync(Patience);
            Assert.Equal(4, end.ExitCode);
            Assert.Contains("this coordinator ends because its GPU failed: cannot launch", end.Error);
            Assert.False((await request).IsSuccessStatusCode);
        }
        finally
        {
            File.Delete(gpu.FailFile);
        }
    }

    [EmulatedFact]
    public async Task A_worker_whose_GPU_fails_ends_with_4_and_says_so()
    {
        using var worker = await StartAsync("worker-0", plan: null);
        File.WriteAllText(gpu.FailFile, "");
        try
        {
            using var run = Grok1Process.Start("run", "--model", Model, "--tokens", "5,17", "--max-tokens", "1", "--worker-address", worker.Address, "--lost-worker-timeout", "0");
            var end = await worker.Process.WaitForExitAsync(Patience);
            Assert.Equal(4, end.ExitCode);
            Assert.Contains("this worker ends because its GPU failed: cannot launch", end.Error);
            Assert.Contains("CUDA_ERROR_ILLEGAL_ADDRESS", end.Error);
            Assert.NotEqual(0, (await run.WaitForExitAsync(Patience)).ExitCode);
        }
        finally
        {
            File.Delete(gpu.FailFile);
        }
    }

    [EmulatedFact]
    public async Task Doctor_finds_all_that_is_needed_and_a_number_too_high_is_refused_by_name()
    {
        var doctor = await Grok1Process.RunAsync(gpu.Grok1("doctor", "--json"), timeout: Patience);
        using var json = JsonDocument.Parse(doctor.Output);
        Assert.True(json.RootElement.GetProperty("cuda_usable").GetBoolean());
        Assert.Equal(("cuda:0", "Fake GPU", "8.0"), json.RootElement.GetProperty("devices")[0] is var device
            ? (device.GetProperty("id").GetString(), device.GetProperty("name").GetString(), device.GetProperty("compute_capability").GetString()) : default);

        var worker = await Grok1Process.RunAsync(gpu.Grok1("worker", "--model", Path.Combine(Repository.Root, "models", "demo"), "--listen", "127.0.0.1:0", "--device", "cuda:1"), timeout: Patience);
        Assert.Equal((4, ""), (worker.ExitCode, worker.Output));
        Assert.Contains("there is no cuda:1", worker.Error);
    }

    private async Task<Worker> StartAsync(string id, string? plan, params string[] more)
    {
        string[] arguments = ["worker", "--model", Model, "--id", id, "--listen", "127.0.0.1:0", "--device", "cuda:0", "--threads", "1", .. more];
        var process = Grok1Process.Start(gpu.Grok1([.. arguments, .. plan is null ? (string[])[] : ["--plan", plan]]));
        var line = await process.WaitForErrorLineAsync(text => text.Contains("listens on", StringComparison.Ordinal), Patience);
        Assert.Matches(@"\(Fake GPU, (\d+) of \1 tiles on it\), and listens on ", line);
        return new Worker(process, line[(line.LastIndexOf(' ') + 1)..]);
    }

    private async Task<string> TokensAsync(string[] arguments)
    {
        return Tokens(await Grok1Process.RunAsync(gpu.Grok1(arguments), timeout: Patience));
    }

    private static string Tokens(Grok1Result result)
    {
        Assert.True(result.ExitCode == 0, result.Error);
        using var json = JsonDocument.Parse(result.Output);
        return json.RootElement.GetProperty("tokens").ToString();
    }

    private sealed record Worker(Grok1Process Process, string Address) : IDisposable
    {
        public void Dispose() => Process.Dispose();
    }
}
