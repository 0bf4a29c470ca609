using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.TestKit;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>Workers on hosts of their own, one of which the network forgets for a second.</summary>
[Collection(nameof(Alone))]
public sealed class NetworkFaultTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    private const int Tokens = 300, Middle = 100;

    [PacketFilterFact]
    public async Task A_network_that_fails_for_a_second_loses_no_token()
    {
        using var lab = new NetworkLab(2, null);
        await using var cluster = await FailoverCluster.StartAsync(models.Endless(), workers: 2, replicas: 1, null, (number, id) => Grok1Process.Start(
            lab.Hosts[number].Start(Grok1Process.ExecutablePath, "worker", "--model", models.Endless(), "--id", id, "--listen", $"{lab.Hosts[number].Address}:0", "--insecure", "--threads", "1")));
        var expected = await cluster.GenerateAsync(Tokens);
        foreach (var rules in (string[])[PacketFilter.Blackhole, PacketFilter.OneWay, PacketFilter.HalfLost])
        {
            var healed = Task.CompletedTask;
            Assert.Equal(expected, await cluster.GenerateAsync(Tokens, Middle, () => healed = DisturbAsync(lab.Hosts[1], rules)));
            await healed;
            await cluster.StateAsync(1, ready: true);
        }
        Assert.Equal(expected, await cluster.GenerateAsync(Tokens));
    }

    private static async Task DisturbAsync(LabHost host, string rules)
    {
        using (PacketFilter.Apply(host, rules))
            await Task.Delay(TimeSpan.FromSeconds(1));
    }
}
