using System.Net;
using System.Net.Sockets;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Http2;
using Grok1Cluster.Grpc.Http2.Hpack;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;
using Grok1Cluster.Grpc.Wire;
using Grok1Cluster.TestKit.Fuzzing;

namespace Grok1Cluster.Grpc.Tests.Http2;

/// <summary>A peer that sends anything: nothing crashes, hangs or leaks, and the server lives on for others. Seeds are fixed.</summary>
public class FuzzTests
{
    private const int Sessions = 80;

    /// <summary>Sessions of frames of every kind in any order, beside those of the corpus.</summary>
    private const int RandomSessions = 8;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task The_server_survives(int seed)
    {
        await using var server = await TestServer.StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"] }, GrpcTransport.Own);
        using var channel = server.Channel();
        var sessions = Spoiled("http2-client", RawPeer.Preface, seed);
        for (var i = 0; i < Sessions; i++)
        {
            using (var peer = RawPeer.Connect(server.Address))
            {
                peer.TrySend(sessions.Next());
                peer.End();
                // The server must hang up by itself: whatever it has understood of this, the peer sends no more.
                peer.ReadGoAway();
            }
            Assert.Equal([(byte)i], await channel.UnaryAsync(EchoService.Echo, [(byte)i], Conformance.Patient, CancellationToken.None));
        }
    }

    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public async Task The_client_survives(int seed)
    {
        var sessions = Spoiled("http2-server", [], seed);
        for (var i = 0; i < Sessions; i++)
        {
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            using var channel = new GrpcChannel(listener.LocalEndpoint.ToString()!, new GrpcChannelOptions());
            var call = channel.UnaryAsync(EchoService.Echo, [1, 2, 3], Conformance.Patient, CancellationToken.None);
            using var peer = new RawPeer(await listener.AcceptSocketAsync());
            // A client that tries again finds nobody.
            listener.Stop();
            peer.TrySend(sessions.Next());
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

    [Fact]
    public void A_header_block_is_read_or_refused_in_bounded_memory() =>
        new FuzzRun { Reader = "hpack", Inputs = 10_000, Refuses = static fault => fault is Http2Exception { Code: ErrorCode.CompressionError } }.Check(static block =>
            new HpackDecoder(HeaderBlockReader.MaxListBytes).TryDecode(block, []));

    private static Mutator Spoiled(string corpus, byte[] preface, int seed)
    {
        var random = new Random(seed);
        var frames = Enumerable.Range(0, RandomSessions).Select(_ => (byte[])[.. preface, .. RawPeer.Frame(0x4, 0, 0), .. Enumerable.Range(0, 50).SelectMany(_ => RandomFrame(random))]);
        return new Mutator(seed, [.. FuzzRun.Corpus(corpus).Select(input => input.Bytes), .. frames]);
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
