using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Processes;

/// <summary>However a cluster ends, it says why and leaves no process behind.</summary>
public class EndingTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Fact]
    public async Task Ctrl_c_ends_a_run_with_130_and_no_worker_is_left()
    {
        using var run = StartEndlessRun();
        var workers = await WorkersAsync(run);
        run.Signal(PosixSignal.SIGINT);
        var result = await run.WaitForExitAsync();
        Assert.Equal(130, result.ExitCode);
        await AllGoneAsync(workers);
    }

    [Fact]
    public async Task A_killed_worker_of_a_run_is_started_again_and_no_worker_is_left_at_the_end()
    {
        using var run = StartEndlessRun();
        var workers = await WorkersAsync(run);
        using (var worker = Process.GetProcessById(workers[1]))
            worker.Kill();
        await run.WaitForErrorLineAsync(line => line.StartsWith("worker worker-1 at ") && line.EndsWith(" is lost"));
        var back = await run.WaitForErrorLineAsync(line => line.StartsWith("worker worker-1 (process ") && line.EndsWith(" is back"));
        run.Signal(PosixSignal.SIGINT);
        Assert.Equal(130, (await run.WaitForExitAsync()).ExitCode);
        await AllGoneAsync([.. workers, .. ProcessIds.In(back)]);
    }

    [Fact]
    public async Task A_lost_worker_that_stays_away_ends_a_run_with_5_and_a_line_that_names_it_and_its_tiles()
    {
        using var worker = Grok1Process.Start("worker", "--model", models.Endless(), "--listen", "127.0.0.1:0");
        var listening = await worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
        using var run = Grok1Process.Start("run", "--model", models.Endless(), "--tokens", "5", "--max-tokens", "199000", "--ignore-eos",
            "--worker-address", listening[(listening.LastIndexOf(' ') + 1)..], "--lost-worker-timeout", "0.2");
        await WorkersAsync(run);
        worker.Kill();
        var result = await run.WaitForExitAsync();
        Assert.Equal(5, result.ExitCode);
        Assert.Matches("layer [0-3] experts 0-7 slice 0 had no worker for 0.2 s: worker worker-0 at .* is lost; start it again", result.Error);
    }

    [Fact]
    public async Task A_killed_coordinator_takes_its_workers_with_it()
    {
        using var run = StartEndlessRun();
        var workers = await WorkersAsync(run);
        using var coordinator = Process.GetProcessById(run.Id);
        coordinator.Kill();
        await AllGoneAsync(workers);
    }

    [Fact]
    public async Task A_worker_that_is_told_to_end_exits_with_0()
    {
        using var worker = Grok1Process.Start("worker", "--model", models.Golden("tiny-b"), "--listen", "127.0.0.1:0");
        await worker.WaitForErrorLineAsync(line => line.Contains("listens on"));
        worker.Signal(PosixSignal.SIGTERM);
        Assert.Equal(0, (await worker.WaitForExitAsync()).ExitCode);
    }

    [Fact]
    public async Task A_coordinator_that_is_told_to_end_while_it_still_imports_its_model_exits_with_0()
    {
        var cache = Directory.CreateTempSubdirectory("grok1-cache-");
        try
        {
            var start = new ProcessStartInfo(Grok1Process.ExecutablePath, ["serve", "--model", Path.Combine(Repository.Root, "tests", "data", "tiny-a"), "--port", "0"]);
            start.Environment["XDG_CACHE_HOME"] = cache.FullName;
            using var serve = Grok1Process.Start(start);
            await serve.WaitForErrorLineAsync(line => line.StartsWith("importing "));
            serve.Signal(PosixSignal.SIGTERM);
            Assert.Equal(0, (await serve.WaitForExitAsync()).ExitCode);
        }
        finally
        {
            cache.Delete(recursive: true);
        }
    }

    [Theory]
    [InlineData("", "worker", "--listen", "127.0.0.1:PORT")]
    [InlineData(" (--http-host, --http-port)", "worker", "--listen", "127.0.0.1:0", "--http-port", "PORT")]
    [InlineData(" (--host, --port)", "serve", "--port", "PORT")]
    [InlineData(" (--host, --admin-port)", "serve", "--port", "0", "--admin-port", "PORT")]
    public async Task A_busy_port_ends_a_process_with_5_and_the_address_and_what_to_do(string flags, params string[] arguments)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = $"{((IPEndPoint)listener.LocalEndpoint).Port}";
        var result = await Grok1Process.RunAsync([.. arguments.Select(argument => argument.Replace("PORT", port)), "--model", models.Golden("tiny-b")]);
        Assert.Equal((5, $"grok1: cannot listen on 127.0.0.1:{port}: it is in use; end what listens there, or take another{flags}"), (result.ExitCode, Assert.Single(Lines(result.Error))));
    }

    [Theory]
    // Of the network that RFC 5737 keeps for documents: no machine has such an address.
    [InlineData("cannot listen on 192.0.2.1:0: this machine has no such address; take one of its own", "--listen", "192.0.2.1:0", "--insecure")]
    [InlineData("cannot listen on 192.0.2.1:0: this machine has no such address; take one of its own (--http-host, --http-port)", "--listen", "127.0.0.1:0", "--http-port", "0", "--http-host", "192.0.2.1")]
    [InlineData("cannot listen on unix:/no/such/socket: its directory does not exist; make it, or take another", "--listen", "unix:/no/such/socket")]
    public async Task An_address_that_cannot_be_ends_a_worker_with_5_and_what_to_do(string message, params string[] arguments)
    {
        var result = await Grok1Process.RunAsync(["worker", .. arguments, "--model", models.Golden("tiny-b")]);
        Assert.Equal((5, $"grok1: {message}"), (result.ExitCode, Lines(result.Error)[^1]));
    }

    [Theory]
    [InlineData("0")]
    [InlineData("2")]
    public async Task A_model_beyond_the_memory_limit_ends_with_4_before_anything_is_started(string workers)
    {
        var result = await Grok1Process.RunAsync("run", "--model", models.Golden("tiny-a"), "--tokens", "1", "--memory-limit", "100000", "--workers", workers);
        Assert.Equal(4, result.ExitCode);
        Assert.Matches(@"needs [\d.]+ MiB \(\d+ bytes\) of memory, 97\.7 KiB \(100000 bytes\) are available", Assert.Single(Lines(result.Error)));
    }

    [Fact]
    public async Task A_worker_that_fails_at_its_start_ends_the_run_with_its_exit_code_and_its_reason()
    {
        var start = new ProcessStartInfo(Grok1Process.ExecutablePath, ["run", "--model", models.Golden("tiny-b"), "--tokens", "1", "--workers", "3"]);
        start.Environment["GROK1__WORKER__MEMORY_LIMIT"] = "1000";
        var result = await Grok1Process.RunAsync(start);
        Assert.Equal(4, result.ExitCode);
        Assert.Matches("worker worker-[0-2] needs [0-9.]+ KiB .[0-9]+ bytes. of memory, 1000 bytes are available", result.Error);
        Assert.DoesNotContain(Process.GetProcessesByName("grok1"), process => CommandLineOf(process).Contains(models.Golden("tiny-b")));
    }

    [Fact]
    public async Task A_plan_for_another_geometry_ends_with_3()
    {
        var file = Path.Combine(Path.GetTempPath(), $"plan-{Guid.NewGuid():N}.json");
        await File.WriteAllTextAsync(file, """{"epoch":1,"model":"x","cuts":[0,100],"bundles":[]}""");
        try
        {
            var result = await Grok1Process.RunAsync("run", "--model", models.Golden("tiny-a"), "--tokens", "1", "--plan", file);
            Assert.Equal(3, result.ExitCode);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Ids_outside_the_vocabulary_end_with_2_before_a_worker_is_started()
    {
        var result = await Grok1Process.RunAsync("run", "--model", models.Golden("tiny-b"), "--tokens", "1,512", "--workers", "2");
        Assert.Equal((2, "grok1: token 1 is 512, outside the vocabulary of 512\n"), (result.ExitCode, result.Error));
    }

    private Grok1Process StartEndlessRun() => Grok1Process.Start(
        "run", "--model", models.Endless(), "--tokens", "5", "--max-tokens", "199000", "--ignore-eos", "--workers", "3");

    /// <summary>The processes that the run says it started.</summary>
    private static async Task<int[]> WorkersAsync(Grok1Process run) =>
        ProcessIds.In(await run.WaitForErrorLineAsync(line => line.Contains(" ready: worker")));

    private static async Task AllGoneAsync(int[] workers)
    {
        Assert.NotEmpty(workers);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        foreach (var id in workers)
            try
            {
                using var worker = Process.GetProcessById(id);
                await worker.WaitForExitAsync(limit.Token);
            }
            catch (ArgumentException)
            {
                // Gone already.
            }
    }

    private static string CommandLineOf(Process process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process.Id}/cmdline");
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
