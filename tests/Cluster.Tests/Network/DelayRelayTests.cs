using System.Net;
using System.Net.Sockets;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Cluster.Tests.Network;

/// <summary>The relay that network tests and benchmarks trust.</summary>
public class DelayRelayTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task Every_byte_arrives_in_order_both_ways_and_so_does_the_end(int oneWayMilliseconds)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var relay = new DelayRelay(new IPEndPoint(IPAddress.Loopback, 0), (IPEndPoint)listener.LocalEndpoint, TimeSpan.FromMilliseconds(oneWayMilliseconds));
        using var client = new TcpClient();
        await client.ConnectAsync(relay.Address);
        using var server = await listener.AcceptTcpClientAsync();
        var sent = new byte[5_000_000];
        new Random(1).NextBytes(sent);
        var (near, far) = (client.GetStream(), server.GetStream());
        foreach (var (from, to) in new[] { (near, far), (far, near) })
        {
            var writing = Task.Run(async () =>
            {
                await from.WriteAsync(sent);
                from.Socket.Shutdown(SocketShutdown.Send);
            });
            var received = new MemoryStream();
            await to.CopyToAsync(received);
            await writing;
            Assert.Equal(sent, received.ToArray());
        }
    }

    [Fact]
    public void A_round_trip_takes_both_delays_at_least_and_the_relay_says_what_it_adds_itself()
    {
        var cost = RelayCost.Measure(TimeSpan.FromMilliseconds(2), bytes: 1000, rounds: 20);
        Assert.True(cost.RelayedMicroseconds >= 4000, $"{cost}");
        Assert.Equal(cost.RelayedMicroseconds - cost.DirectMicroseconds - 4000, cost.OwnMicroseconds, 6);
    }

    [Fact]
    public async Task Disposing_ends_its_connections()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var relay = new DelayRelay(new IPEndPoint(IPAddress.Loopback, 0), (IPEndPoint)listener.LocalEndpoint, TimeSpan.Zero);
        using var client = new TcpClient();
        await client.ConnectAsync(relay.Address);
        using var server = await listener.AcceptTcpClientAsync();
        await client.GetStream().WriteAsync(new byte[1]);
        await server.GetStream().ReadExactlyAsync(new byte[1]);
        relay.Dispose();
        // An end or a reset, as the system sees it: both end what waits for bytes.
        var ended = await Record.ExceptionAsync(async () => Assert.Equal(0, await server.GetStream().ReadAsync(new byte[1])));
        Assert.True(ended is null or IOException, $"{ended}");
    }
}
