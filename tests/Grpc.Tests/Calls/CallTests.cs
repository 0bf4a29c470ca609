using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;

namespace Grok1Cluster.Grpc.Tests.Calls;

public abstract class CallTests(Transports transports) : TransportTests(transports)
{
    [Fact]
    public async Task All_four_call_shapes_work_over_tcp()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        await Conformance.AllFourCallShapes(channel);
    }

    [Fact]
    public async Task All_four_call_shapes_work_over_a_unix_socket()
    {
        var path = TestServer.SocketPath();
        await using (var server = await StartAsync(new GrpcServerOptions { Listen = [$"unix:{path}"] }))
        {
            using var channel = server.Channel();
            await Conformance.AllFourCallShapes(channel);
        }
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task One_server_listens_on_several_addresses()
    {
        var path = TestServer.SocketPath();
        await using var server = await StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0", $"unix:{path}", "[::1]:0"] });
        Assert.Equal(3, server.Server.Addresses.Count);
        foreach (var address in server.Server.Addresses)
        {
            using var channel = Channel($"{address}");
            Assert.Equal([7], await channel.UnaryAsync(EchoService.Echo, [7], Conformance.Patient, CancellationToken.None));
        }
    }

    [Fact]
    public async Task Errors_keep_their_code_message_and_trailers()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        await Conformance.ErrorsWithAnyMessage(channel);
    }

    [Fact]
    public async Task Metadata_travels_both_ways()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        await Conformance.MetadataBothWays(channel);
    }

    [Fact]
    public async Task A_message_of_16_MB_passes_where_the_limits_allow_it()
    {
        await using var server = await StartAsync(new ServerCallOptions { MaxReceiveMessageBytes = TestServer.LargeLimit });
        using var channel = server.Channel(new GrpcChannelOptions { MaxReceiveMessageBytes = TestServer.LargeLimit });
        await Conformance.SixteenMegabyteMessages(channel);
    }

    [Fact]
    public async Task A_handler_that_throws_shows_the_client_no_internals()
    {
        await using var server = await StartAsync(new GrpcServices().AddUnary(EchoService.Fail, (_, _) => throw new InvalidDataException("secret path")));
        using var channel = server.Channel();
        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Fail, "", Conformance.Patient, CancellationToken.None));
        Assert.Equal(GrpcStatusCode.Unknown, failure.Code);
        Assert.DoesNotContain("secret", failure.Message);
    }

    [Fact]
    public async Task A_thousand_calls_at_once_get_their_own_answers()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        await Parallel.ForEachAsync(Enumerable.Range(0, 1000), new ParallelOptions { MaxDegreeOfParallelism = 200 }, async (i, _) =>
            Assert.Equal(Raw.Pattern(i), await channel.UnaryAsync(EchoService.Echo, Raw.Pattern(i), Conformance.Patient, CancellationToken.None)));
    }

    [Fact]
    public async Task Many_streams_run_side_by_side_on_one_channel()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        await Task.WhenAll(Enumerable.Range(0, 50).Select(async stream =>
        {
            using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
            for (var i = 0; i < 20; i++)
            {
                var message = Raw.Pattern(stream * 100 + i);
                await chat.WriteAsync(message, CancellationToken.None);
                Assert.True(await chat.Responses.MoveNextAsync(CancellationToken.None));
                Assert.Equal(message, chat.Responses.Current);
            }
        }));
    }

    [Fact]
    public async Task Writing_and_reading_run_independently()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        const int Messages = 500;
        var writing = Task.Run(async () =>
        {
            for (var i = 0; i < Messages; i++)
                await chat.WriteAsync(Raw.Pattern(i * 37), CancellationToken.None);
            await chat.CompleteAsync(CancellationToken.None);
        });
        var all = await Conformance.AllOf(chat.Responses);
        await writing;
        Assert.Equal(Messages, all.Count);
        for (var i = 0; i < Messages; i++)
            Assert.Equal(Raw.Pattern(i * 37), all[i]);
    }

    [Fact]
    public async Task After_a_half_close_the_server_goes_on_sending()
    {
        var services = new GrpcServices().AddDuplexStreaming(EchoService.Chat, async (requests, responses, context) =>
        {
            Assert.False(await requests.MoveNextAsync(context.CancellationToken));
            for (byte i = 0; i < 3; i++)
                await responses.WriteAsync([i], context.CancellationToken);
        });
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        await chat.CompleteAsync(CancellationToken.None);
        Assert.Equal([[0], [1], [2]], await Conformance.AllOf(chat.Responses));
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await chat.WriteAsync([1], CancellationToken.None));
    }

    [Fact]
    public async Task A_server_may_answer_before_it_has_heard_everything()
    {
        var services = new GrpcServices().AddClientStreaming(EchoService.Join, async (requests, context) =>
        {
            await requests.MoveNextAsync(context.CancellationToken);
            return "enough";
        });
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        using var call = channel.ClientStreaming(EchoService.Join, Conformance.Patient, CancellationToken.None);
        await call.WriteAsync("first", CancellationToken.None);
        Assert.Equal("enough", await call.Response);
    }

    [Fact]
    public async Task A_writer_learns_why_the_server_has_ended_the_call()
    {
        var services = new GrpcServices().AddClientStreaming<byte[], byte[]>(EchoService.Chat, (_, _) => throw new RpcException(GrpcStatusCode.PermissionDenied, "not you"));
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        using var call = channel.ClientStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        var failure = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (true)
                await call.WriteAsync(new byte[100_000], CancellationToken.None);
        });
        Assert.Equal(new GrpcStatus(GrpcStatusCode.PermissionDenied, "not you"), failure.Status);
    }

    [Fact]
    public async Task Two_writes_at_once_are_refused()
    {
        var reading = new TaskCompletionSource();
        var services = new GrpcServices().AddDuplexStreaming(EchoService.Chat, async (_, _, context) => await reading.Task.WaitAsync(context.CancellationToken));
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        // Larger than the server's window, so that the first write cannot end.
        var first = chat.WriteAsync(new byte[20 << 20], CancellationToken.None);
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await chat.WriteAsync([1], CancellationToken.None));
        chat.Dispose();
        await Assert.ThrowsAsync<RpcException>(async () => await first);
    }

    [Fact]
    public async Task The_context_says_who_calls_what()
    {
        var services = new GrpcServices().AddUnary(EchoService.Mirror, (_, context) => Task.FromResult($"{context.Method} {context.Peer}"));
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        Assert.StartsWith("/test.Raw/Mirror ipv4:127.0.0.1:", await channel.UnaryAsync(EchoService.Mirror, "", Conformance.Patient, CancellationToken.None));
    }

    [Fact]
    public void A_method_is_added_once() =>
        Assert.Throws<ArgumentException>(() => EchoService.Create(new TaskCompletionSource()).AddUnary(EchoService.Echo, (request, _) => Task.FromResult(request)));
}

public sealed class OwnCallTests() : CallTests(Transports.Own);

public sealed class StockCallTests() : CallTests(Transports.Stock);

public sealed class OwnToStockCallTests() : CallTests(Transports.OwnToStock);

public sealed class StockToOwnCallTests() : CallTests(Transports.StockToOwn);
