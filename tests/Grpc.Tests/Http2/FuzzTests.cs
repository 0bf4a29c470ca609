using System.Net;
using System.Net.Sockets;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Tests.Http2;

/// <summary>A peer that sends anything: nothing crashes, hangs or leaks, and the server lives on for others. Seeds are fixed.</summary>
public class FuzzTests
{
    private const int Sessions = 60;

    [Theory]
    [InlineData("random bytes", 1)]
    [InlineData("flipped bits", 2)]
    [InlineData("truncated", 3)]
    [InlineData("random frames", 4)]
    public async Task The_server_survives(string kind, int seed)
    {
        await using var server = await TestServer.StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"] }, GrpcTransport.Own);
        using var channel = server.Channel();
        var random = new Random(seed);
        for (var i = 0; i < Sessions; i++)
        {
            using (var peer = RawPeer.Connect(server.Address))
            {
                peer.TrySend(ClientSession(kind, random));
                peer.End();
                // The server must hang up by itself: whatever it has understood of this, the peer sends no more.
                peer.ReadGoAway();
            }
            Assert.Equal([(byte)i], await channel.UnaryAsync(EchoService.Echo, [(byte)i], Conformance.Patient, CancellationToken.None));
        }
    }

    [Theory]
    [InlineData("random bytes", 5)]
    [InlineData("flipped bits", 6)]
    [InlineData("truncated", 7)]
    [InlineData("random frames", 8)]
    public async Task The_client_survives(string kind, int seed)
    {
        var random = new Random(seed);
        for (var i = 0; i < Sessions; i++)
        {
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            using var channel = new GrpcChannel(listener.LocalEndpoint.ToString()!, new GrpcChannelOptions());
            var call = channel.UnaryAsync(EchoService.Echo, [1, 2, 3], Conformance.Patient, CancellationToken.None);
            using var peer = new RawPeer(await listener.AcceptSocketAsync());
            // A client that tries again finds nobody.
            listener.Stop();
            peer.TrySend(ServerSession(kind, random));
            peer.End();
            try
            {
                await call.WaitAsync(TestServer.Patience);
            }
            catch (RpcException)
            {
            }
        }
    }

    private static byte[] ClientSession(string kind, Random random)
    {
        byte[] valid =
        [
            .. RawPeer.Preface, .. RawPeer.Frame(0x4, 0, 0, 0, 4, 0, 1, 0, 0), .. RawPeer.Frame(0x8, 0, 0, 0, 1, 0, 0),
            .. RawPeer.Call(1), .. RawPeer.Message(1, 100), .. RawPeer.Call(3), .. RawPeer.Frame(0x6, 0, 0, new byte[8]),
            .. RawPeer.Frame(0x0, 0x8, 3, [2, 0, 0, 0, 0, 1, 65, 0, 0]), .. RawPeer.Frame(0x3, 0, 3, 0, 0, 0, 8), .. RawPeer.Call(5), .. RawPeer.Message(5, 5000),
        ];
        return Spoil(kind, random, valid, RawPeer.Preface.Length);
    }

    private static byte[] ServerSession(string kind, Random random)
    {
        var head = RawPeer.Block(new HeaderList { { ":status", "200" }, { "content-type", "application/grpc" } });
        var trailers = RawPeer.Block(new HeaderList { { "grpc-status", "0" } });
        byte[] valid =
        [
            .. RawPeer.Frame(0x4, 0, 0, 0, 3, 0, 0, 0, 100), .. RawPeer.Frame(0x4, 1, 0), .. RawPeer.Frame(0x1, 4, 1, head),
            .. RawPeer.Frame(0x0, 0, 1, 0, 0, 0, 0, 2, 7, 8), .. RawPeer.Frame(0x8, 0, 1, 0, 1, 0, 0), .. RawPeer.Frame(0x1, 5, 1, trailers),
        ];
        return Spoil(kind, random, valid, 0);
    }

    private static byte[] Spoil(string kind, Random random, byte[] valid, int preface)
    {
        switch (kind)
        {
            case "random bytes":
                var bytes = new byte[random.Next(2000)];
                random.NextBytes(bytes);
                return [.. valid[..random.Next(preface, preface + 9)], .. bytes];
            case "flipped bits":
                for (var flips = random.Next(1, 10); flips > 0; flips--)
                    valid[random.Next(preface, valid.Length)] ^= (byte)(1 << random.Next(8));
                return valid;
            case "truncated":
                return valid[..random.Next(valid.Length)];
            default:
                return [.. valid[..preface], .. RawPeer.Frame(0x4, 0, 0), .. Enumerable.Range(0, 50).SelectMany(_ => RandomFrame(random))];
        }
    }

    private static byte[] RandomFrame(Random random)
    {
        var type = (byte)random.Next(11);
        var stream = random.Next(6);
        byte[] payload = type switch
        {
            0x1 or 0x9 when random.Next(2) == 0 => RawPeer.Block(RawPeer.EchoHead),
            0x3 or 0x8 => new byte[4],
            0x4 => new byte[6 * random.Next(3)],
            0x6 or 0x7 => new byte[8],
            _ => new byte[random.Next(300)],
        };
        if (type is not (0x1 or 0x9))
            random.NextBytes(payload);
        return RawPeer.Frame(type, (byte)(random.Next(2) == 0 ? 4 : random.Next(256)), type is 0x4 or 0x6 or 0x7 && random.Next(8) > 0 ? 0 : stream, payload);
    }
}
