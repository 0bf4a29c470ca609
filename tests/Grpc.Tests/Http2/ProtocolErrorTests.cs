using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Http2;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Tests.Http2;

/// <summary>What a peer does wrong is answered by the error code that RFC 9113 names, and costs nobody else anything.</summary>
public class ProtocolErrorTests
{
    public static TheoryData<string, byte[], uint> ConnectionFaults => new()
    {
        { "DATA without a stream", RawPeer.Frame(0x0, 0, 0, 1), 0x1 },
        { "DATA on a stream that was not opened", RawPeer.Frame(0x0, 0, 7, 1), 0x1 },
        { "DATA on an even stream", RawPeer.Frame(0x0, 0, 2, 1), 0x1 },
        { "padding longer than DATA", [.. RawPeer.Call(1), .. RawPeer.Frame(0x0, 0x8, 1, 5, 0)], 0x1 },
        { "padded DATA that is empty", [.. RawPeer.Call(1), .. RawPeer.Frame(0x0, 0x8, 1)], 0x6 },
        { "HEADERS without a stream", RawPeer.Frame(0x1, 0x4, 0), 0x1 },
        { "HEADERS on an even stream", RawPeer.Call(2), 0x1 },
        { "HEADERS on an ended stream", [.. RawPeer.Call(5), .. RawPeer.Call(3)], 0x5 },
        { "padding longer than HEADERS", RawPeer.Frame(0x1, 0xc, 1, 9, 0x82), 0x1 },
        { "a stream that depends on itself", RawPeer.Frame(0x1, 0x24, 1, 0, 0, 0, 1, 0), 0x1 },
        { "a malformed header block", RawPeer.Frame(0x1, 0x4, 1, 0x80), 0x9 },
        { "another frame inside a header block", [.. RawPeer.Frame(0x1, 0, 1, 0x82), .. RawPeer.Frame(0x6, 0, 0, new byte[8])], 0x1 },
        { "CONTINUATION of another stream", [.. RawPeer.Frame(0x1, 0, 1, 0x82), .. RawPeer.Frame(0x9, 4, 3)], 0x1 },
        { "CONTINUATION of nothing", RawPeer.Frame(0x9, 4, 1), 0x1 },
        { "RST_STREAM without a stream", RawPeer.Frame(0x3, 0, 0, new byte[4]), 0x1 },
        { "RST_STREAM of a stream that was not opened", RawPeer.Frame(0x3, 0, 9, new byte[4]), 0x1 },
        { "RST_STREAM of 3 bytes", [.. RawPeer.Call(1), .. RawPeer.Frame(0x3, 0, 1, new byte[3])], 0x6 },
        { "SETTINGS on a stream", RawPeer.Frame(0x4, 0, 1), 0x1 },
        { "SETTINGS of 5 bytes", RawPeer.Frame(0x4, 0, 0, new byte[5]), 0x6 },
        { "an acknowledgement that says something", RawPeer.Frame(0x4, 1, 0, new byte[6]), 0x6 },
        { "ENABLE_PUSH of 2", RawPeer.Frame(0x4, 0, 0, 0, 2, 0, 0, 0, 2), 0x1 },
        { "INITIAL_WINDOW_SIZE of 2^31", RawPeer.Frame(0x4, 0, 0, 0, 4, 0x80, 0, 0, 0), 0x3 },
        { "MAX_FRAME_SIZE of 16383", RawPeer.Frame(0x4, 0, 0, 0, 5, 0, 0, 0x3f, 0xff), 0x1 },
        { "PUSH_PROMISE", RawPeer.Frame(0x5, 4, 1, 0, 0, 0, 2), 0x1 },
        { "PING on a stream", RawPeer.Frame(0x6, 0, 1, new byte[8]), 0x1 },
        { "PING of 7 bytes", RawPeer.Frame(0x6, 0, 0, new byte[7]), 0x6 },
        { "GOAWAY of 7 bytes", RawPeer.Frame(0x7, 0, 0, new byte[7]), 0x6 },
        { "a grant of nothing", RawPeer.Frame(0x8, 0, 0, new byte[4]), 0x1 },
        { "a window over 2^31 - 1", RawPeer.Frame(0x8, 0, 0, 0x7f, 0xff, 0xff, 0xff), 0x3 },
        { "a window that was not opened", RawPeer.Frame(0x8, 0, 3, 0, 0, 0, 1), 0x1 },
        { "a frame over MAX_FRAME_SIZE", [0xff, 0xff, 0xff, 0x0, 0, 0, 0, 0, 1], 0x6 },
        { "SETTINGS too long to be meant", [0x0f, 0xff, 0xf6, 0x4, 0, 0, 0, 0, 0], 0xb },
        { "a header block that does not end", HeaderFlood(), 0xb },
        { "a flood of PING", Flood(RawPeer.Frame(0x6, 1, 0, new byte[8])), 0xb },
        { "a flood of SETTINGS", Flood(RawPeer.Frame(0x4, 0, 0)), 0xb },
        { "a flood of empty DATA", [.. RawPeer.Call(1), .. Flood(RawPeer.Frame(0x0, 0, 1))], 0xb },
        { "a flood of CONTINUATION", [.. RawPeer.Frame(0x1, 0, 1, 0x82), .. Flood(RawPeer.Frame(0x9, 0, 1))], 0xb },
        { "a flood of unknown frames", Flood(RawPeer.Frame(0xee, 0, 0)), 0xb },
        { "rapid resets", RapidReset(), 0xb },
    };

    public static TheoryData<string, byte[], uint> StreamFaults => new()
    {
        { "a window of the stream over 2^31 - 1", [.. RawPeer.Call(1), .. RawPeer.Frame(0x8, 0, 1, 0x7f, 0xff, 0xff, 0xff)], 0x3 },
        { "a grant of nothing", [.. RawPeer.Call(1), .. RawPeer.Frame(0x8, 0, 1, 0, 0, 0, 0)], 0x1 },
        { "DATA behind the end", [.. RawPeer.Frame(0x1, 0x5, 1, RawPeer.Block(Hang)), .. RawPeer.Frame(0x0, 0, 1, 0)], 0x5 },
        { "trailers that do not end", [.. RawPeer.Call(1), .. RawPeer.Frame(0x1, 4, 1, RawPeer.Block(new HeaderList { { "x", "y" } }))], 0x1 },
        { "a request without a path", RawPeer.Frame(0x1, 0x4, 1, RawPeer.Block(new HeaderList { { ":method", "POST" }, { ":scheme", "http" } })), 0x1 },
        { "a name in capitals", RawPeer.Frame(0x1, 0x4, 1, RawPeer.Block([.. RawPeer.EchoHead, new("X", "y")])), 0x1 },
        { "a header of HTTP/1", RawPeer.Frame(0x1, 0x4, 1, RawPeer.Block([.. RawPeer.EchoHead, new("connection", "close")])), 0x1 },
        { "a pseudo-header behind others", RawPeer.Frame(0x1, 0x4, 1, RawPeer.Block([.. RawPeer.EchoHead, new(":path", "/")])), 0x1 },
        { "a value with a line break", RawPeer.Frame(0x1, 0x4, 1, RawPeer.Block([.. RawPeer.EchoHead, new("x", "a\nb")])), 0x1 },
        { "PRIORITY of 4 bytes", RawPeer.Frame(0x2, 0, 1, new byte[4]), 0x6 },
        { "a header list over the limit", RawPeer.Frame(0x1, 0x4, 1, RawPeer.Block([.. RawPeer.EchoHead, new("x", new string('y', 40_000))])), 0xb },
    };

    private static HeaderList Hang => HeadOf(EchoService.HangLater);

    private static HeaderList HeadOf(GrpcMethod<string, string> method) => [.. RawPeer.EchoHead.Select(h => h.Key == ":path" ? new(":path", method.Path) : h)];

    [Theory]
    [MemberData(nameof(ConnectionFaults), DisableDiscoveryEnumeration = true)]
    public async Task A_fault_of_the_connection_ends_it(string what, byte[] bytes, uint error)
    {
        await using var server = await StartAsync();
        using (var peer = RawPeer.Greet(server.Address))
        {
            peer.TrySend(bytes);
            peer.End();
            Assert.True(peer.ReadGoAway() == error, what);
        }
        await Serves(server);
    }

    [Theory]
    [MemberData(nameof(StreamFaults), DisableDiscoveryEnumeration = true)]
    public async Task A_fault_of_a_stream_resets_it_alone(string what, byte[] bytes, uint error)
    {
        await using var server = await StartAsync();
        using var peer = RawPeer.Greet(server.Address);
        peer.Send(bytes);
        var reset = peer.ReadUntil(FrameType.RstStream);
        Assert.Equal(1, reset.Header.StreamId);
        Assert.True(RawPeer.Number(error).SequenceEqual(reset.Payload), $"{what}: {Convert.ToHexString(reset.Payload)}");
        peer.Send([.. RawPeer.Call(3), .. RawPeer.Message(3, 10)]);
        Assert.Equal(3, peer.ReadUntil(FrameType.Data).Header.StreamId);
    }

    [Fact]
    public async Task What_is_no_http2_is_refused()
    {
        await using var server = await StartAsync();
        using var peer = RawPeer.Connect(server.Address);
        peer.Send("GET / HTTP/1.1\r\nHost: test\r\n\r\n"u8.ToArray());
        Assert.Equal(1u, peer.ReadGoAway());
    }

    [Fact]
    public async Task Settings_must_come_first()
    {
        await using var server = await StartAsync();
        using var peer = RawPeer.Connect(server.Address);
        peer.Send([.. RawPeer.Preface, .. RawPeer.Call(1)]);
        Assert.Equal(1u, peer.ReadGoAway());
    }

    [Fact]
    public async Task More_data_than_the_window_allows_is_refused()
    {
        await using var server = await StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"], StreamWindowBytes = 65_535, ConnectionWindowBytes = 100_000 });
        using var peer = RawPeer.Greet(server.Address);
        // Nobody takes these messages, so nothing is granted; the stream's window is the first to be full.
        var part = new byte[16_384];
        peer.Send(RawPeer.Frame(0x1, 0x4, 1, RawPeer.Block(HeadOf(EchoService.Deaf))));
        for (var i = 0; i < 6; i++)
            peer.TrySend(RawPeer.Frame(0x0, 0, 1, part));
        Assert.Equal(RawPeer.Number(0x3), peer.ReadUntil(FrameType.RstStream).Payload);
    }

    [Fact]
    public async Task More_streams_than_allowed_are_refused()
    {
        await using var server = await StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"], MaxStreamsPerConnection = 2 });
        using var peer = RawPeer.Greet(server.Address);
        foreach (var stream in new[] { 1, 3, 5 })
            peer.Send(RawPeer.Call(stream));
        var refused = peer.ReadUntil(FrameType.RstStream);
        Assert.Equal(5, refused.Header.StreamId);
        Assert.Equal(RawPeer.Number(0x7), refused.Payload);
    }

    [Fact]
    public async Task More_connections_than_allowed_are_closed()
    {
        await using var server = await StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"], MaxConnections = 1 });
        using var first = RawPeer.Greet(server.Address);
        // The server's own settings, and its answer to the client's: by then it knows that the client speaks HTTP/2.
        first.ReadUntil(FrameType.Settings);
        first.ReadUntil(FrameType.Settings);
        using var second = RawPeer.Connect(server.Address);
        Assert.Null(second.Read());
    }

    [Fact]
    public async Task Who_connects_and_says_nothing_gives_way_to_who_comes_and_takes_no_place_from_who_is_open()
    {
        await using var server = await StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"], MaxBeginningConnections = 2, MaxConnections = 2 });
        using var open = RawPeer.Greet(server.Address);
        open.ReadUntil(FrameType.Settings);
        open.ReadUntil(FrameType.Settings);
        var silent = Enumerable.Range(0, 5).Select(_ => RawPeer.Connect(server.Address)).ToList();
        // There is room for two: the first three were sent away when others came.
        foreach (var peer in silent.Take(3))
            peer.ReadGoAway();
        using var late = RawPeer.Greet(server.Address);
        foreach (var peer in new[] { open, late })
        {
            peer.Send(RawPeer.Call(1));
            peer.Send(RawPeer.Message(1, 5));
            peer.ReadUntil(FrameType.Data);
        }
        silent.ForEach(peer => peer.Dispose());
    }

    [Fact]
    public async Task A_peer_that_never_reads_its_answers_is_given_up()
    {
        await using var server = await StartAsync();
        using var peer = RawPeer.Greet(server.Address);
        for (var i = 0; i < 2 * AbuseGuard.Burst; i++)
            peer.TrySend(RawPeer.Frame(0x6, 0, 0, new byte[8]));
        await Serves(server);
    }

    [Fact]
    public async Task Data_padding_and_trailers_of_a_request_are_understood()
    {
        await using var server = await StartAsync();
        using var peer = RawPeer.Greet(server.Address);
        peer.Send(RawPeer.Call(1));
        peer.Send(RawPeer.Frame(0x0, 0x8, 1, [3, 0, 0, 0, 0, 1, 65, 0, 0, 0]));
        peer.Send(RawPeer.Frame(0x1, 0x5, 1, RawPeer.Block(new HeaderList { { "x", "y" } })));
        Assert.Equal([0, 0, 0, 0, 1, 65], peer.ReadUntil(FrameType.Data).Payload);
    }

    private static byte[] Flood(byte[] frame) => [.. Enumerable.Repeat(frame, AbuseGuard.Burst * 2).SelectMany(bytes => bytes)];

    private static byte[] RapidReset() =>
        [.. Enumerable.Range(0, AbuseGuard.Burst * 2).SelectMany(i => (byte[])[.. RawPeer.Call(2 * i + 1), .. RawPeer.Frame(0x3, 0, 2 * i + 1, 0, 0, 0, 8)])];

    private static byte[] HeaderFlood() =>
        [.. RawPeer.Frame(0x1, 0, 1, 0x82), .. Enumerable.Repeat(RawPeer.Frame(0x9, 0, 1, new byte[16_000]), 10).SelectMany(bytes => bytes)];

    private static Task<TestServer> StartAsync() => StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"] });

    private static Task<TestServer> StartAsync(GrpcServerOptions options) => TestServer.StartAsync(options, GrpcTransport.Own);

    private static async Task Serves(TestServer server)
    {
        using var channel = server.Channel();
        Assert.Equal([1], await channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None));
    }
}
