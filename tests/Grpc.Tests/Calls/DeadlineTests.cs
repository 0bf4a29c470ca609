using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;

namespace Grok1Cluster.Grpc.Tests.Calls;

public abstract class DeadlineTests(Transports transports) : TransportTests(transports)
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    [Fact]
    public async Task A_call_past_its_deadline_ends_on_both_sides()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        await Conformance.Deadlines(channel);
        await server.CallCancelled;
    }

    [Fact]
    public async Task The_client_ends_a_call_at_the_deadline_and_not_before()
    {
        var clock = new ManualTime();
        await using var server = await StartAsync();
        using var channel = server.Channel(new GrpcChannelOptions { TimeProvider = clock });
        using var call = channel.ServerStreaming(EchoService.HangLater, "", GrpcCallOptions.After(Minute), CancellationToken.None);
        Assert.True(await call.Responses.MoveNextAsync(CancellationToken.None));
        var next = call.Responses.MoveNextAsync(CancellationToken.None).AsTask();
        clock.Advance(Minute - TimeSpan.FromTicks(1));
        Assert.False(call.Completion.IsCompleted);
        clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(GrpcStatusCode.DeadlineExceeded, (await Assert.ThrowsAsync<RpcException>(() => next)).Code);
        await server.CallCancelled;
    }

    [Fact]
    public async Task The_server_ends_a_call_at_the_deadline_by_its_own_clock()
    {
        var clock = new ManualTime();
        await using var server = await StartAsync(new ServerCallOptions { TimeProvider = clock });
        // The client's own timer stands still: what ends the call is the server.
        using var channel = server.Channel(new GrpcChannelOptions { TimeProvider = new ManualTime() });
        using var call = channel.ServerStreaming(EchoService.HangLater, "", GrpcCallOptions.After(Minute), CancellationToken.None);
        Assert.True(await call.Responses.MoveNextAsync(CancellationToken.None));
        clock.Advance(Minute);
        Assert.Equal(GrpcStatusCode.DeadlineExceeded, (await Assert.ThrowsAsync<RpcException>(() => Conformance.AllOf(call.Responses))).Code);
        await server.CallCancelled;
    }

    [Fact]
    public async Task A_clock_that_is_set_ahead_ends_no_call()
    {
        var clock = new ManualTime();
        var services = new GrpcServices().AddUnary(EchoService.Echo, (request, _) =>
        {
            clock.Set(Minute);
            return Task.FromResult(request);
        });
        await using var server = await GrpcServer.StartAsync(
            services, On(new GrpcServerOptions { Listen = ["127.0.0.1:0"], Calls = new ServerCallOptions { TimeProvider = clock } }), CancellationToken.None);
        using var channel = Channel($"{server.Addresses[0]}", new GrpcChannelOptions { TimeProvider = new ManualTime() });
        Assert.Equal([1], await channel.UnaryAsync(EchoService.Echo, [1], GrpcCallOptions.After(Minute), CancellationToken.None));
    }

    [Fact]
    public async Task An_answer_after_the_deadline_is_not_sent()
    {
        var clock = new ManualTime();
        var services = new GrpcServices().AddUnary(EchoService.Echo, (request, _) =>
        {
            clock.Advance(Minute);
            return Task.FromResult(request);
        });
        await using var server = await GrpcServer.StartAsync(
            services, On(new GrpcServerOptions { Listen = ["127.0.0.1:0"], Calls = new ServerCallOptions { TimeProvider = clock } }), CancellationToken.None);
        using var channel = Channel($"{server.Addresses[0]}", new GrpcChannelOptions { TimeProvider = new ManualTime() });
        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Echo, [1], GrpcCallOptions.After(Minute), CancellationToken.None));
        Assert.Equal(GrpcStatusCode.DeadlineExceeded, failure.Code);
    }

    [Fact]
    public async Task A_handler_sees_its_deadline()
    {
        var clock = new ManualTime();
        var seen = new List<DateTimeOffset?>();
        var services = new GrpcServices().AddUnary(EchoService.Echo, (request, context) =>
        {
            seen.Add(context.Deadline);
            return Task.FromResult(request);
        });
        await using var server = await GrpcServer.StartAsync(
            services, On(new GrpcServerOptions { Listen = ["127.0.0.1:0"], Calls = new ServerCallOptions { TimeProvider = clock } }), CancellationToken.None);
        using var channel = Channel($"{server.Addresses[0]}");
        await channel.UnaryAsync(EchoService.Echo, [1], GrpcCallOptions.After(Minute), CancellationToken.None);
        await channel.UnaryAsync(EchoService.Echo, [1], GrpcCallOptions.Endless, CancellationToken.None);
        Assert.Equal([clock.GetUtcNow() + Minute, null], seen);
        Assert.Equal(0, clock.ActiveTimers);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_handler_that_does_not_look_at_its_deadline_is_cut_off_and_its_connection_serves_on(bool afterAMessage)
    {
        var clock = new ManualTime();
        var (inside, gate, ended) = (new TaskCompletionSource(), new TaskCompletionSource(), new TaskCompletionSource<Exception?>());
        var services = new GrpcServices().AddUnary(EchoService.Echo, (request, _) => Task.FromResult(request)).AddServerStreaming(EchoService.Chat, async (request, responses, _) =>
        {
            if (afterAMessage)
                await responses.WriteAsync(request, CancellationToken.None);
            inside.SetResult();
            await gate.Task;
            ended.SetResult(await Record.ExceptionAsync(async () => await responses.WriteAsync(request, CancellationToken.None)));
        });
        await using var server = await GrpcServer.StartAsync(
            services, On(new GrpcServerOptions { Listen = ["127.0.0.1:0"], Calls = new ServerCallOptions { TimeProvider = clock } }), CancellationToken.None);
        using var channel = Channel($"{server.Addresses[0]}", new GrpcChannelOptions { TimeProvider = new ManualTime() });
        using var call = channel.ServerStreaming(EchoService.Chat, [1], GrpcCallOptions.After(Minute), CancellationToken.None);
        await inside.Task.WaitAsync(TestServer.Patience);
        if (afterAMessage)
            Assert.True(await call.Responses.MoveNextAsync(CancellationToken.None));
        clock.Advance(Minute);
        var failure = await Assert.ThrowsAsync<RpcException>(() => call.Responses.MoveNextAsync(CancellationToken.None).AsTask().WaitAsync(TestServer.Patience));
        Assert.Equal((GrpcStatusCode.DeadlineExceeded, false), (failure.Code, ended.Task.IsCompleted));
        Assert.Equal([2], await channel.UnaryAsync(EchoService.Echo, [2], GrpcCallOptions.Endless, CancellationToken.None));
        gate.SetResult();
        Assert.IsAssignableFrom<OperationCanceledException>(await ended.Task.WaitAsync(TestServer.Patience));
        Assert.Equal([3], await channel.UnaryAsync(EchoService.Echo, [3], GrpcCallOptions.Endless, CancellationToken.None));
    }

    [Fact]
    public async Task A_stalled_write_ends_at_the_deadline()
    {
        var clock = new ManualTime();
        var ended = new TaskCompletionSource<Exception>();
        var services = new GrpcServices().AddServerStreaming(EchoService.Chat, async (_, responses, context) =>
        {
            try
            {
                while (true)
                    await responses.WriteAsync(new byte[1 << 20], context.CancellationToken);
            }
            catch (Exception fault)
            {
                ended.SetResult(fault);
                throw;
            }
        });
        await using var server = await GrpcServer.StartAsync(
            services, On(new GrpcServerOptions { Listen = ["127.0.0.1:0"], Calls = new ServerCallOptions { TimeProvider = clock } }), CancellationToken.None);
        using var channel = Channel($"{server.Addresses[0]}", new GrpcChannelOptions { TimeProvider = new ManualTime() });
        using var call = channel.ServerStreaming(EchoService.Chat, [], GrpcCallOptions.After(Minute), CancellationToken.None);
        await call.ResponseHeaders;
        clock.Advance(Minute);
        Assert.IsAssignableFrom<OperationCanceledException>(await ended.Task.WaitAsync(TestServer.Patience));
        await Assert.ThrowsAsync<RpcException>(() => Conformance.AllOf(call.Responses));
    }

    [Fact]
    public async Task A_deadline_that_is_over_before_the_start_never_reaches_the_server()
    {
        using var channel = Channel("127.0.0.1:1");
        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Echo, [1], GrpcCallOptions.After(TimeSpan.Zero), CancellationToken.None));
        Assert.Equal(GrpcStatusCode.DeadlineExceeded, failure.Code);
    }

    [Fact]
    public async Task A_deadline_of_ten_thousand_years_is_no_problem()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        Assert.Equal([1], await channel.UnaryAsync(EchoService.Echo, [1], GrpcCallOptions.After(TimeSpan.MaxValue), CancellationToken.None));
    }
}

public sealed class OwnDeadlineTests() : DeadlineTests(Transports.Own);

public sealed class StockDeadlineTests() : DeadlineTests(Transports.Stock);
