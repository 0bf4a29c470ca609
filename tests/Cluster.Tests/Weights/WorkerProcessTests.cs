using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.Json;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Failover;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Health;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Expert.V1;
using Grok1Cluster.TestKit;
using Grok1Cluster.Weights.Cache;
using BlockRange = Grok1Cluster.Protos.Cluster.V1.BlockRange;
using static Grok1Cluster.Cluster.Tests.Weights.ExpertCalls;

namespace Grok1Cluster.Cluster.Tests.Weights;

/// <summary>Worker processes that leave, that are killed while they fetch, and whose memory is looked at from outside.</summary>
public sealed class WorkerProcessTests(ModelFixture models, WideModel wide) : IClassFixture<ModelFixture>, IClassFixture<WideModel>, IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-workers-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private string SavePlan(string model, IReadOnlyList<string> workers)
    {
        var path = Path.Combine(_directory, "plan.json");
        PlanFile.Save(path, Planner.Sliced(FailoverCluster.Geometry(models.Golden(model)), workers));
        return path;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_worker_that_is_told_to_end_answers_the_calls_it_has_ends_its_streams_cleanly_and_exits_with_0(bool bySignal)
    {
        using var store = ModelStore.Open(models.Golden("tiny-a"));
        using var worker = Start("--model", store.Directory);
        using var client = new WorkerClient(await AddressAsync(worker));
        var range = Range(0, 0, 0, store.ExpertLayout.Blocks.Count);
        var expected = (await client.ComputeAsync(store, range)).Result.Values;
        using var stream = client.Process();
        const int Calls = 60;
        for (var i = 1; i <= Calls; i++)
            await stream.WriteAsync(Call(store, (ulong)i, range), CancellationToken.None);
        Assert.True(await stream.Responses.MoveNextAsync(CancellationToken.None));
        if (bySignal)
            worker.Signal(PosixSignal.SIGTERM);
        else
            await client.LeaveAsync();
        var answers = new List<ExpertResult> { stream.Responses.Current.Result };
        // Ends without an exception: the stream was ended, not broken.
        while (await stream.Responses.MoveNextAsync(CancellationToken.None))
            answers.Add(stream.Responses.Current.Result);
        // Whatever it took it answered: no call is left out that a later one was answered of.
        Assert.Equal(Enumerable.Range(1, answers.Count).Select(id => (ulong)id), answers.Select(answer => answer.Id));
        Assert.All(answers, answer => Assert.Equal(expected, answer.Values));
        var result = await worker.WaitForExitAsync();
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("worker w ends", result.Error);
    }

    [Fact]
    public async Task A_worker_that_its_plan_does_not_name_is_refused_with_the_ids_that_it_has()
    {
        var plan = SavePlan("tiny-a", WorkerIds.Numbered(2));
        var result = await Grok1Process.RunAsync("worker", "--model", models.Golden("tiny-a"), "--plan", plan, "--id", "wroker-1", "--listen", "127.0.0.1:0");
        Assert.Equal((2, $"grok1: plan file {plan} gives worker wroker-1 nothing; it has worker-0, worker-1\n"), (result.ExitCode, result.Error));
    }

    [Fact]
    public async Task A_cluster_of_more_workers_than_its_plan_file_names_starts_and_says_who_holds_nothing()
    {
        var run = await Grok1Process.RunAsync("run", "--model", models.Golden("tiny-a"), "--tokens", "5", "--max-tokens", "1", "--workers", "2", "--plan", SavePlan("tiny-a", WorkerIds.Numbered(1)));
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("1 of 2 workers hold nothing: the plan file gives nothing to worker-1\n", run.Error);
    }

    [Fact]
    public async Task A_supervised_worker_ends_with_its_parent_also_while_it_is_not_ready()
    {
        // Takes connections and never says a word: the worker waits for its model.
        using var mute = new TcpListener(IPAddress.Loopback, 0);
        mute.Start();
        using var worker = Grok1Process.Start("worker", "--supervised", "--from", $"{mute.LocalEndpoint}", "--cache", Path.Combine(_directory, "cache"), "--listen", "127.0.0.1:0");
        using var waiting = await mute.AcceptSocketAsync().WaitAsync(Grok1Process.DefaultTimeout);
        await worker.WriteInputAsync("");
        var result = await worker.WaitForExitAsync();
        Assert.Equal((0, "", "worker worker-0 ends before it was ready\n"), (result.ExitCode, result.Output, result.Error));
    }

    [Fact]
    public async Task A_worker_that_leaves_says_so_while_it_still_answers()
    {
        await using var host = await ExpertWorker.ExpertWorkerHost.StartAsync(
            new ExpertWorker.ExpertWorkerOptions { Id = "w", ModelPath = models.Golden("tiny-a"), HoldNothing = true, Threads = 1 }, _ => { }, CancellationToken.None);
        using var client = new WorkerClient(host.Address.ToString());
        Assert.True(await client.Channel.IsServingAsync(ExpertMethods.Service, Grok1Process.DefaultTimeout, CancellationToken.None));
        await client.LeaveAsync();
        Assert.True(host.LeaveRequested.IsCompleted);
        Assert.True((await client.Channel.UnaryAsync(ExpertMethods.Status, new StatusRequest(), GrpcCallOptions.Endless, CancellationToken.None)).Leaving);
        await host.LeaveAsync(CancellationToken.None);
    }

    [Fact]
    public async Task A_replica_that_is_told_to_end_while_a_text_is_generated_costs_no_token_and_exits_with_0()
    {
        await using var cluster = await FailoverCluster.StartAsync(models.Endless(), workers: 2, replicas: 2);
        var expected = await cluster.GenerateAsync(40);
        var lost = cluster.StateAsync(1, ready: false);
        Assert.Equal(expected, await cluster.GenerateAsync(40, 10, () => cluster.Worker(1).Signal(PosixSignal.SIGTERM)));
        await lost;
        Assert.Equal(0, (await cluster.Worker(1).WaitForExitAsync()).ExitCode);
    }

    [Fact]
    public async Task A_worker_that_is_killed_while_it_fetches_fetches_only_the_rest_when_it_is_back()
    {
        using var store = ModelStore.Open(wide.Path);
        using var giver = Start("--model", store.Directory);
        var source = await AddressAsync(giver);
        string[] flags = ["--from", source, "--cache", Path.Combine(_directory, "cache")];
        var request = Hold(store, [.. Enumerable.Range(0, 4).Select(expert => Range(0, expert, 0, store.ExpertLayout.Blocks.Count))]);
        request.Sources.Add(source);
        var total = 4 * (ulong)store.ExpertLayout.Bytes(0, store.ExpertLayout.Blocks.Count);

        using (var killed = Start(flags))
        {
            using var client = new WorkerClient(await AddressAsync(killed));
            request.BytesPerSecond = total / 4;
            using var hold = client.Channel.ServerStreaming(ControlMethods.Hold, request, GrpcCallOptions.Endless, CancellationToken.None);
            using var seen = new WeightCache(store, new WeightCacheOptions { Root = Path.Combine(_directory, "cache") });
            for (; seen.Bytes == 0; seen.Refresh())
                Assert.True(await hold.Responses.MoveNextAsync(CancellationToken.None));
            Assert.Equal(0ul, hold.Responses.Current.DoneBytes);
            killed.Kill();
            await killed.WaitForExitAsync();
        }
        ulong kept;
        using (var cache = new WeightCache(store, new WeightCacheOptions { Root = Path.Combine(_directory, "cache") }))
            kept = (ulong)cache.Bytes;
        Assert.InRange(kept, 1ul, total - 1);

        using var back = Start(flags);
        using var again = new WorkerClient(await AddressAsync(back));
        request.BytesPerSecond = 0;
        var told = await again.HoldAsync(request);
        Assert.Equal((total, total - kept), (told.DoneBytes, told.FetchedBytes));
        using var rich = new WorkerClient(source);
        var whole = Range(0, 3, 0, store.ExpertLayout.Blocks.Count);
        Assert.Equal((await rich.ComputeAsync(store, whole)).Result.Values, (await again.ComputeAsync(store, whole)).Result.Values);
    }

    [Fact]
    public async Task Memory_of_what_is_released_goes_back_to_the_system_of_a_part_as_of_the_whole()
    {
        using var store = ModelStore.Open(wide.Path);
        var blocks = store.ExpertLayout.Blocks.Count;
        var expert = store.ExpertLayout.Bytes(0, blocks);
        using var worker = Start("--model", store.Directory, "--hold", "none", "--weight-pages", "copied", "--cache", _directory);
        using var client = new WorkerClient(await AddressAsync(worker));
        BlockRange[] all = [.. Enumerable.Range(0, 4).Select(number => Range(0, number, 0, blocks))];
        var empty = AnonymousBytes(worker.Id);
        await client.HoldAsync(Hold(store, all));
        var full = AnonymousBytes(worker.Id);
        await client.ReleaseAsync(Release(store, Range(0, 0, 0, blocks / 2), Range(0, 1, blocks / 4, blocks * 3 / 4)));
        var part = AnonymousBytes(worker.Id);
        await client.ReleaseAsync(Release(store, all));
        var none = AnonymousBytes(worker.Id);
        // The runtime's own memory comes and goes by a few MB, and huge pages round up.
        Assert.InRange(full - empty, 4 * expert, 5 * expert);
        Assert.InRange(full - part, expert * 3 / 4, expert * 5 / 4);
        Assert.InRange(none - empty, -expert, expert / 2);
    }

    [Fact]
    public async Task Workers_without_a_model_that_share_a_cache_take_their_share_of_a_plan_and_compute_the_same_bits()
    {
        var model = models.Golden("tiny-a");
        using var giver = Start("--model", model);
        var source = await AddressAsync(giver);
        var plan = SavePlan("tiny-a", WorkerIds.Numbered(2));
        string[] Flags(int number) => ["--from", source, "--cache", Path.Combine(_directory, "cache"), "--plan", plan, "--id", $"worker-{number}"];
        using var first = Start(Flags(0));
        using var second = Start(Flags(1));
        var result = await Grok1Process.RunAsync("logits", "--model", model, "--tokens", "5,17,299", "--precision", "exact", "--plan", plan, "--json",
            "--worker-address", $"{await AddressAsync(first)},{await AddressAsync(second)}");
        Assert.Equal(0, result.ExitCode);
        Assert.Equal(3, JsonDocument.Parse(result.Output).RootElement.GetProperty("argmax").GetArrayLength());
        using var one = new WorkerClient(await AddressAsync(first));
        using var two = new WorkerClient(await AddressAsync(second));
        using var rich = new WorkerClient(source);
        using var whole = ModelStore.Open(model);
        Assert.Equal(whole.Manifest.Experts.Sum(expert => expert.File.Bytes), (await one.DescribeAsync()).Bytes + (await two.DescribeAsync()).Bytes);
        foreach (var client in new[] { one, two })
        {
            var tile = (await client.DescribeAsync()).Tiles[^1];
            var (start, end) = whole.ExpertLayout.BlockRange((int)tile.Start, (int)tile.End);
            var range = Range((int)tile.Layer, (int)tile.Expert, start, end);
            Assert.Equal((await rich.ComputeAsync(whole, range)).Result.Values, (await client.ComputeAsync(whole, range)).Result.Values);
        }
    }

    [Fact]
    public async Task A_worker_whose_sources_cannot_be_reached_ends_with_5_and_names_them()
    {
        var result = await Grok1Process.RunAsync("worker", "--from", "127.0.0.1:1", "--cache", _directory, "--listen", "127.0.0.1:0");
        Assert.Equal(5, result.ExitCode);
        Assert.Contains("source 127.0.0.1:1 does not tell its model", result.Error);
        Assert.Matches("grok1: .*none of the sources .*127.0.0.1:1.* tells its model \\(.*\\); start one that has it, or name others", result.Error);
    }

    [Fact]
    public async Task From_beside_a_model_is_a_usage_error()
    {
        var result = await Grok1Process.RunAsync("worker", "--from", "127.0.0.1:1", "--model", "demo");
        Assert.Equal(2, result.ExitCode);
    }

    private static Grok1Process Start(params string[] flags) =>
        Grok1Process.Start(["worker", .. flags.Contains("--id") ? Array.Empty<string>() : ["--id", "w"], "--listen", "127.0.0.1:0", "--threads", "1", .. flags]);

    private static async Task<string> AddressAsync(Grok1Process worker)
    {
        var line = await worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
        return line[(line.LastIndexOf(' ') + 1)..];
    }

    /// <summary>Anonymous memory of a process that is resident, in bytes.</summary>
    private static long AnonymousBytes(int process) => 1024 * long.Parse(
        File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith("RssAnon:", StringComparison.Ordinal))["RssAnon:".Length..^" kB".Length], CultureInfo.InvariantCulture);
}
