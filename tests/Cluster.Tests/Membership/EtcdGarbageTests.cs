using System.IO.Compression;
using System.Text;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Membership;

/// <summary>Anybody may write into etcd.</summary>
public sealed class EtcdGarbageTests(EtcdFixture etcd) : IClassFixture<EtcdFixture>
{
    private const string Rest = "\"bytes\":0,\"capacity_bytes\":0,\"tiles\":0,\"tiles_digest\":\"\",\"version\":\"\",\"protocol\":1,\"kernel\":\"\",\"fingerprint\":\"\",\"leaving\":false,\"instance\":\"\"";

    private static readonly (string What, string Value)[] Workers =
    [
        ("not JSON", "hello"),
        ("empty", ""),
        ("null", "null"),
        ("a list", "[]"),
        ("deep", new string('[', 1000)),
        ("another id", $$"""{"id":"other","address":"a:1",{{Rest}}}"""),
        ("no address", $$"""{"id":"bad",{{Rest}}}"""),
        ("null address", $$"""{"id":"bad","address":null,{{Rest}}}"""),
        ("bad address", $$"""{"id":"bad","address":"nowhere",{{Rest}}}"""),
        ("escapes", """{"id":"bad","address":"\u001b[2J:1",""" + Rest + "}"),
        ("twice", $$"""{"id":"bad","id":"bad","address":"a:1",{{Rest}}}"""),
        ("too long", $$"""{"id":"bad","address":"a:1","more":"{{new string('x', 20_000)}}",{{Rest}}}"""),
    ];

    [EtcdFact]
    public async Task Bad_workers_and_coordinators_are_passed_over_with_a_line_that_names_the_key()
    {
        var server = await etcd.ServerAsync();
        await using var cluster = new EtcdCluster(server.Address);
        await server.PutAsync(cluster.Key("coordinators/bad"), """{"id":"bad","address":"a:1","epoch":"high","version":""}""");
        var coordinator = await cluster.CoordinatorAsync("c-0");
        Assert.Equal([$"etcd: {cluster.Key("coordinators/bad")} is passed over: not the JSON that it should be"], cluster.BadEntries);
        foreach (var (what, value) in Workers)
        {
            cluster.Notes.Clear();
            await server.PutAsync(cluster.Key("workers/bad"), value);
            // Watched in the same order: when the good one is there, the bad one was read.
            await server.PutAsync(cluster.Key($"workers/{what.Replace(' ', '-')}"), $$"""{"id":"{{what.Replace(' ', '-')}}","address":"a:1","later":[1],{{Rest}}}""");
            await coordinator.UntilWorkersAsync(what.Replace(' ', '-'));
            await server.DeleteAsync(cluster.Key($"workers/{what.Replace(' ', '-')}"));
            await coordinator.UntilWorkersAsync();
            Assert.StartsWith($"etcd: {cluster.Key("workers/bad")} is passed over: ", Assert.Single(cluster.BadEntries));
        }
        Assert.Single(coordinator.Coordinators);
    }

    [EtcdFact]
    public async Task A_bad_plan_changes_nothing_and_can_be_replaced()
    {
        var server = await etcd.ServerAsync();
        await using var cluster = new EtcdCluster(server.Address);
        await server.PutAsync(cluster.Key("plan"), "no plan");
        var coordinator = await cluster.CoordinatorAsync("c-0");
        Assert.Null(coordinator.Plan);
        Assert.StartsWith($"etcd: {cluster.Key("plan")} is passed over: the plan in etcd is malformed", Assert.Single(cluster.BadEntries));
        Assert.True(await coordinator.TrySetPlanAsync(EtcdCluster.Plan(1), null, CancellationToken.None));

        foreach (var bad in new[] { Bomb(), [0x1f, 0x8b, 1, 2, 3], Encoding.UTF8.GetBytes("""{"epoch":9,"model":"m","cuts":[0,1],"bundles":[]}""") })
        {
            var before = coordinator.Plan!;
            await server.PutAsync(cluster.Key("plan"), bad);
            await coordinator.UntilAsync(() => coordinator.Plan!.Revision != before.Revision);
            Assert.Same(before.Plan, coordinator.Plan!.Plan);
        }
        Assert.Equal(4, cluster.BadEntries.Count());
        Assert.True(await coordinator.TrySetPlanAsync(EtcdCluster.Plan(2), coordinator.Plan, CancellationToken.None));
        Assert.Equal(2, coordinator.Plan!.Plan.Epoch);
    }

    /// <summary>A few kilobytes that unpack to more than any plan has.</summary>
    private static byte[] Bomb()
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize, leaveOpen: true))
            gzip.Write(new byte[64 << 20]);
        return packed.ToArray();
    }
}
