using System.Net.Http.Json;
using System.Text.Json;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Failover;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Operations;

/// <summary>A coordinator whose store has no expert, over workers with a share of the experts each: the hashes are on the workers' disks alone.</summary>
public sealed class DenseStoreTests(ModelFixture models) : IClassFixture<ModelFixture>, IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-dense-").FullName;

    [Fact]
    public async Task Bundles_move_and_workers_are_drained_and_no_token_changes()
    {
        string[] ids = ["worker-0", "worker-1", "worker-2"];
        var plan = Planner.Whole(FailoverCluster.Geometry(models.Golden("tiny-b")), ids);
        var planPath = Path.Combine(_directory, "plan.json");
        PlanFile.Save(planPath, plan);
        var workers = new List<Grok1Process>();
        try
        {
            foreach (var id in ids)
                workers.Add(Grok1Process.Start("worker", "--model", Share(plan, id), "--id", id, "--listen", "127.0.0.1:0", "--cache", Path.Combine(_directory, $"cache-{id}"), "--threads", "1"));
            var addresses = new List<string>();
            foreach (var worker in workers)
                addresses.Add((await worker.WaitForErrorLineAsync(line => line.Contains("listens on "))).Split(' ')[^1]);
            using var serve = Grok1Process.Start("serve", "--model", models.WithoutExperts("tiny-b"), "--plan", planPath, "--worker-address", string.Join(',', addresses), "--port", "0", "--threads", "1");
            var url = (await serve.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal))).Split(' ')[^1];
            using var client = new HttpClient { BaseAddress = new Uri(url), Timeout = Grok1Process.DefaultTimeout };
            var expected = await GenerateAsync(client);

            var from = plan.Bundles[0].Workers[0];
            var to = ids.First(id => id != from);
            await ChangeAsync(url, "move", "--layer", "0", "--bundle", "0", "--from", from, "--to", to);
            Assert.Equal(expected, await GenerateAsync(client));
            await ChangeAsync(url, "drain", "worker-1");
            Assert.Equal(0, (await workers[1].WaitForExitAsync()).ExitCode);
            Assert.Equal(expected, await GenerateAsync(client));
            // What was learned of the worker that has ended is known still: nobody else has listed it.
            await ChangeAsync(url, "drain", "worker-2");
            Assert.Equal(expected, await GenerateAsync(client));
        }
        finally
        {
            workers.ForEach(worker => worker.Dispose());
        }
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private string Share(Plan plan, string worker)
    {
        var path = Path.Combine(_directory, worker);
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, "tiny-b"));
        var tiles = WorkerShare.Of(plan, FailoverCluster.Geometry(models.Golden("tiny-b")), worker).Tiles;
        var slices = tiles.Select(tile => new ExpertSlice(tile.Layer, tile.Expert, plan.Cuts[tile.Slice], plan.Cuts[tile.Slice + 1]));
        StoreBuilder.Import(checkpoint, path, new StoreBuildOptions { Slices = [.. slices] }, null, CancellationToken.None);
        return path;
    }

    private static async Task ChangeAsync(string url, params string[] change)
    {
        var result = await Grok1Process.RunAsync(["cluster", .. change, "--url", url]);
        Assert.True(result.ExitCode == 0, result.Error);
    }

    private static async Task<string> GenerateAsync(HttpClient client)
    {
        using var response = await client.PostAsJsonAsync("/v1/completions", new { prompt = new[] { 5, 17 }, max_tokens = 8, temperature = 0, ignore_eos = true });
        var body = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, body);
        return JsonDocument.Parse(body).RootElement.GetProperty("choices")[0].GetProperty("text").GetString()!;
    }
}
