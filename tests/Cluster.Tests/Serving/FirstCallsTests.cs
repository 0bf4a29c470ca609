using System.Diagnostics;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Serving;

/// <summary>What a worker computes for itself before anybody asks it.</summary>
public sealed class FirstCallsTests(ModelFixture models) : IClassFixture<ModelFixture>, IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-first-calls-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(WeightFormat.Int4)]
    [InlineData(WeightFormat.Int8)]
    [InlineData(WeightFormat.BFloat16)]
    [InlineData(WeightFormat.Float32)]
    public void A_worker_takes_its_own_calls_whatever_its_weights_are(WeightFormat format)
    {
        var path = Path.Combine(_directory, format.ToString());
        StoreBuilder.Synthesise(
            new Grok1Config { EmbeddingDim = 64, FeedForwardDim = 512, LayerCount = 2, QueryHeadCount = 2, KeyValueHeadCount = 1, HeadDim = 32, VocabularySize = 128, MaxSequenceLength = 64 },
            seed: 1, path, new StoreBuildOptions { Weights = format }, null, CancellationToken.None);
        using var store = ModelStore.Open(path);
        using var tiles = new TileStore(store);
        using var pool = new ComputePool(2, spin: false);
        using var device = new CpuExpertDevice(pool, store.ExpertLayout);
        Assert.Equal(0, FirstCalls.Compute(tiles, device));
        // Neither the first layer nor the first columns.
        var held = store.ExpertLayout.Slice(1, 3, 1, store.ExpertLayout.Blocks.Count);
        tiles.Add([store.OpenTile(held)], [held]);
        Assert.True(FirstCalls.Compute(tiles, device) > 0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_code_that_computes_calls_is_compiled_before_a_worker_is_ready_unless_it_loads_nothing(bool loads)
    {
        var compiled = Path.Combine(_directory, "compiled");
        string[] arguments = ["worker", "--model", models.Golden("tiny-a"), "--listen", "127.0.0.1:0", .. loads ? Array.Empty<string>() : ["--no-preload"]];
        var start = new ProcessStartInfo(Grok1Process.ExecutablePath, arguments);
        start.Environment["DOTNET_JitStdOutFile"] = compiled;
        start.Environment["DOTNET_JitDisasmSummary"] = "1";
        using var worker = Grok1Process.Start(start);
        await worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
        worker.Signal(PosixSignal.SIGTERM);
        Assert.Equal(0, (await worker.WaitForExitAsync()).ExitCode);
        var methods = File.ReadAllText(compiled);
        Assert.Contains(":StartAsync(", methods);
        Assert.Equal(loads, methods.Contains($"{nameof(CpuExpertFeedForward)}:ComputeDown(", StringComparison.Ordinal));
        Assert.Equal(loads, methods.Contains($"{nameof(ExpertRequest)}:CopyTo(", StringComparison.Ordinal));
    }

    [Fact]
    public async Task No_thread_of_a_worker_that_is_ready_gives_way_but_the_one_that_compiles_code_once_more()
    {
        if (!OperatingSystem.IsLinux())
            return;
        using var worker = Grok1Process.Start("worker", "--model", models.Golden("tiny-a"), "--listen", "127.0.0.1:0", "--http-port", "0");
        await worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
        var usual = Niceness(Environment.ProcessId).Single(thread => thread.Id == Environment.ProcessId).Nice;
        Assert.DoesNotContain(Niceness(worker.Id), thread => thread.Nice != usual && !thread.Name.StartsWith(".NET Tiered", StringComparison.Ordinal));
    }

    /// <summary>Of every thread of a process that has not ended meanwhile.</summary>
    private static IEnumerable<(int Id, string Name, int Nice)> Niceness(int process)
    {
        foreach (var path in Directory.GetDirectories($"/proc/{process}/task"))
        {
            string stat;
            try
            {
                stat = File.ReadAllText(Path.Combine(path, "stat"));
            }
            catch (IOException)
            {
                continue;
            }
            // "ID (NAME) S ...", of which niceness is the 19th.
            var end = stat.LastIndexOf(')');
            yield return (int.Parse(Path.GetFileName(path)), stat[(stat.IndexOf('(') + 1)..end], int.Parse(stat[(end + 2)..].Split(' ')[16]));
        }
    }
}
