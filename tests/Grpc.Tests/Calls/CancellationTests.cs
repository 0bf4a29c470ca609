using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;

namespace Grok1Cluster.Grpc.Tests.Calls;

public abstract class CancellationTests(Transports transports) : TransportTests(transports)
{
    [Fact]
    public async Task Cancelling_and_disposing_reach_the_server()
    {
        using var seen = new SemaphoreSlim(0);
        var services = new GrpcServices().AddServerStreaming(EchoService.HangLater, async (_, responses, context) =>
        {
            context.CancellationToken.Register(() => seen.Release());
            await responses.WriteAsync("first", context.CancellationToken);
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        });
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        await Conformance.Cancellation(channel, async () => Assert.True(await seen.WaitAsync(TestServer.Patience)));
    }

    [Fact]
    public async Task Cancelling_a_unary_call_reaches_the_server()
    {
        var entered = new TaskCompletionSource();
        var left = new TaskCompletionSource();
        var services = new GrpcServices().AddUnary(EchoService.Hang, async (_, context) =>
        {
            context.CancellationToken.Register(left.SetResult);
            entered.SetResult();
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
            return "";
        });
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        using var cancel = new CancellationTokenSource();
        var call = channel.UnaryAsync(EchoService.Hang, "", Conformance.Patient, cancel.Token);
        await entered.Task.WaitAsync(TestServer.Patience);
        cancel.Cancel();
        var cancelled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        Assert.Equal(cancel.Token, cancelled.CancellationToken);
        await left.Task.WaitAsync(TestServer.Patience);
    }

    [Fact]
    public async Task A_handler_that_waits_for_a_message_is_woken()
    {
        var ended = new TaskCompletionSource<Exception>();
        var services = new GrpcServices().AddDuplexStreaming(EchoService.Chat, async (requests, responses, context) =>
        {
            await requests.MoveNextAsync(CancellationToken.None);
            await responses.WriteAsync(requests.Current, CancellationToken.None);
            try
            {
                await requests.MoveNextAsync(CancellationToken.None);
            }
            catch (Exception fault)
            {
                ended.SetResult(fault);
                throw;
            }
        });
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        await chat.WriteAsync([1], CancellationToken.None);
        Assert.True(await chat.Responses.MoveNextAsync(CancellationToken.None));
        chat.Dispose();
        Assert.IsAssignableFrom<OperationCanceledException>(await ended.Task.WaitAsync(TestServer.Patience));
    }

    [Fact]
    public async Task Giving_up_a_read_leaves_the_call_alive()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        await chat.WriteAsync([1], CancellationToken.None);
        Assert.True(await chat.Responses.MoveNextAsync(CancellationToken.None));
        using (var cancel = new CancellationTokenSource())
        {
            var read = chat.Responses.MoveNextAsync(cancel.Token);
            cancel.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await read);
        }
        await chat.WriteAsync([2], CancellationToken.None);
        Assert.True(await chat.Responses.MoveNextAsync(CancellationToken.None));
        Assert.Equal([2], chat.Responses.Current);
    }

    [Fact]
    public async Task Giving_up_a_write_ends_the_call()
    {
        var services = new GrpcServices().AddDuplexStreaming(EchoService.Chat, (_, _, context) => Task.Delay(Timeout.Infinite, context.CancellationToken));
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        await chat.WriteAsync([1], CancellationToken.None);
        using var cancel = new CancellationTokenSource();
        var write = chat.WriteAsync(new byte[20 << 20], cancel.Token);
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await write);
        Assert.Equal(GrpcStatusCode.Cancelled, (await chat.Completion).Code);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_stream_cancelled_at_any_moment_of_its_request_is_reset(bool halfClosed)
    {
        using var seen = new SemaphoreSlim(0);
        var services = new GrpcServices().AddDuplexStreaming(EchoService.Chat, async (requests, responses, context) =>
        {
            context.CancellationToken.Register(() => seen.Release());
            await requests.MoveNextAsync(context.CancellationToken);
            await responses.WriteAsync(requests.Current, context.CancellationToken);
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        });
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        for (var i = 0; i < 300; i++)
        {
            using var chat = channel.DuplexStreaming(EchoService.Chat, GrpcCallOptions.Endless, CancellationToken.None);
            await chat.WriteAsync([1], CancellationToken.None);
            var reading = chat.Responses.MoveNextAsync(CancellationToken.None);
            if (halfClosed)
                await chat.CompleteAsync(CancellationToken.None);
            Assert.True(await reading);
            chat.Dispose();
            Assert.True(await seen.WaitAsync(TestServer.Patience), $"call {i} was not reset");
        }
    }

    [Fact]
    public async Task A_token_cancelled_before_the_start_makes_no_call()
    {
        using var channel = Channel("127.0.0.1:1");
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, new CancellationToken(canceled: true)));
    }

    [Fact]
    public async Task Closing_the_channel_ends_its_calls()
    {
        await using var server = await StartAsync();
        var channel = server.Channel();
        using var call = channel.ServerStreaming(EchoService.HangLater, "", Conformance.Patient, CancellationToken.None);
        Assert.True(await call.Responses.MoveNextAsync(CancellationToken.None));
        channel.Dispose();
        var failure = await Assert.ThrowsAsync<RpcException>(async () => await call.Responses.MoveNextAsync(CancellationToken.None));
        Assert.Equal(GrpcStatusCode.Cancelled, failure.Code);
        await server.CallCancelled;
    }

    [Fact]
    public async Task Calls_cancelled_at_random_leave_the_connection_usable()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        var random = new Random(3);
        for (var i = 0; i < 200; i++)
        {
            using var cancel = new CancellationTokenSource();
            using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, cancel.Token);
            var exchange = Exchange(chat);
            for (var turn = random.Next(20); turn > 0; turn--)
                await Task.Yield();
            cancel.Cancel();
            await exchange;
        }
        Assert.Equal([5], await channel.UnaryAsync(EchoService.Echo, [5], Conformance.Patient, CancellationToken.None));

        static async Task Exchange(DuplexStreamingCall<byte[], byte[]> chat)
        {
            try
            {
                while (true)
                {
                    await chat.WriteAsync(new byte[10_000], CancellationToken.None);
                    await chat.Responses.MoveNextAsync(CancellationToken.None);
                }
            }
            catch (OperationCanceledException)
            {
            }
        }
    }
}

public sealed class OwnCancellationTests() : CancellationTests(Transports.Own);

public sealed class StockCancellationTests() : CancellationTests(Transports.Stock);

public sealed class OwnToStockCancellationTests() : CancellationTests(Transports.OwnToStock);

public sealed class StockToOwnCancellationTests() : CancellationTests(Transports.StockToOwn);
