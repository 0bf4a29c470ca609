using Grok1Cluster.Grpc.Client;

namespace Grok1Cluster.Grpc.Tests.Support;

/// <summary>What our client must do against any server that offers the <see cref="EchoService"/>, ours or other people's.</summary>
public static class Conformance
{
    private const int SixteenMegabytes = 16 << 20;

    public static GrpcCallOptions Patient { get; } = GrpcCallOptions.After(TestServer.Patience);

    public static async Task AllFourCallShapes(GrpcChannel channel)
    {
        foreach (var length in new[] { 0, 1, 16_379, 100_000 })
            Assert.Equal(Raw.Pattern(length), await channel.UnaryAsync(EchoService.Echo, Raw.Pattern(length), Patient, CancellationToken.None));

        using (var counting = channel.ServerStreaming(EchoService.Count, "100", Patient, CancellationToken.None))
            Assert.Equal(Enumerable.Range(0, 100).Select(i => $"{i}"), await AllOf(counting.Responses));
        using (var empty = channel.ServerStreaming(EchoService.Count, "0", Patient, CancellationToken.None))
            Assert.Empty(await AllOf(empty.Responses));

        using (var joining = channel.ClientStreaming(EchoService.Join, Patient, CancellationToken.None))
        {
            foreach (var word in new[] { "a", "b", "", "d" })
                await joining.WriteAsync(word, CancellationToken.None);
            await joining.CompleteAsync(CancellationToken.None);
            Assert.Equal("a,b,,d", await joining.Response);
        }

        // Each answer is awaited before the next request: nothing may be held back in either direction.
        using var chat = channel.DuplexStreaming(EchoService.Chat, Patient, CancellationToken.None);
        for (var i = 0; i < 50; i++)
        {
            await chat.WriteAsync(Raw.Pattern(i * 1000), CancellationToken.None);
            Assert.True(await chat.Responses.MoveNextAsync(CancellationToken.None));
            Assert.Equal(Raw.Pattern(i * 1000), chat.Responses.Current);
        }
        await chat.CompleteAsync(CancellationToken.None);
        Assert.False(await chat.Responses.MoveNextAsync(CancellationToken.None));
        Assert.Equal(GrpcStatusCode.Ok, (await chat.Completion).Code);
    }

    public static async Task ErrorsWithAnyMessage(GrpcChannel channel)
    {
        foreach (var message in new[] { "plain", "100% größer — 日本語 🦊", "two\r\nlines" })
        {
            var unary = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Fail, $"5 {message}", Patient, CancellationToken.None));
            Assert.Equal(new GrpcStatus(GrpcStatusCode.NotFound, message), unary.Status);
            Assert.Equal("asked for", unary.Trailers.Text("why"));

            using var call = channel.ServerStreaming(EchoService.FailLater, $"10 {message}", Patient, CancellationToken.None);
            Assert.True(await call.Responses.MoveNextAsync(CancellationToken.None));
            var later = await Assert.ThrowsAsync<RpcException>(async () => await call.Responses.MoveNextAsync(CancellationToken.None));
            Assert.Equal(new GrpcStatus(GrpcStatusCode.Aborted, message), later.Status);
            Assert.Equal("asked for", call.ResponseTrailers.Text("why"));
        }
        var unknown = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Raw.TextMethod("NoSuchMethod"), "", Patient, CancellationToken.None));
        Assert.Equal(GrpcStatusCode.Unimplemented, unknown.Code);
    }

    public static async Task Deadlines(GrpcChannel channel)
    {
        var late = await Assert.ThrowsAsync<RpcException>(() =>
            channel.UnaryAsync(EchoService.Hang, "", GrpcCallOptions.After(TimeSpan.FromMilliseconds(100)), CancellationToken.None));
        Assert.Equal(GrpcStatusCode.DeadlineExceeded, late.Code);

        using var call = channel.ServerStreaming(EchoService.HangLater, "", GrpcCallOptions.After(TimeSpan.FromSeconds(2)), CancellationToken.None);
        Assert.True(await call.Responses.MoveNextAsync(CancellationToken.None));
        late = await Assert.ThrowsAsync<RpcException>(() => AllOf(call.Responses));
        Assert.Equal(GrpcStatusCode.DeadlineExceeded, late.Code);
    }

    /// <summary>Cancels by token and by Dispose. Each time <paramref name="seen"/> must tell that the server noticed.</summary>
    public static async Task Cancellation(GrpcChannel channel, Func<Task> seen)
    {
        using var cancel = new CancellationTokenSource();
        using (var call = channel.ServerStreaming(EchoService.HangLater, "", Patient, cancel.Token))
        {
            Assert.True(await call.Responses.MoveNextAsync(CancellationToken.None));
            var next = call.Responses.MoveNextAsync(CancellationToken.None);
            cancel.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await next);
            Assert.Equal(GrpcStatusCode.Cancelled, (await call.Completion).Code);
        }
        await seen();

        var abandoned = channel.ServerStreaming(EchoService.HangLater, "", Patient, CancellationToken.None);
        Assert.True(await abandoned.Responses.MoveNextAsync(CancellationToken.None));
        abandoned.Dispose();
        await seen();
    }

    public static async Task MetadataBothWays(GrpcChannel channel)
    {
        var data = new byte[] { 0, 255, 10, 13, 61 };
        var headers = new Metadata { { "text", "a value, with punctuation" }, { "data-bin", data } };
        using var call = channel.Unary(EchoService.Mirror, "x", new GrpcCallOptions(TestServer.Patience, headers), CancellationToken.None);
        Assert.Equal("x", await call.Response);
        var back = await call.ResponseHeaders;
        Assert.Equal("a value, with punctuation", back.Text("text"));
        Assert.Equal(data, back.Bytes("data-bin"));
        Assert.Equal("a value, with punctuation", call.ResponseTrailers.Text("text-trailer"));
        Assert.Equal(data, call.ResponseTrailers.Bytes("data-trailer-bin"));
    }

    /// <summary>Needs raised limits on both sides.</summary>
    public static async Task SixteenMegabyteMessages(GrpcChannel channel)
    {
        var large = Raw.Pattern(SixteenMegabytes);
        Assert.Equal(large, await channel.UnaryAsync(EchoService.Echo, large, Patient, CancellationToken.None));

        using var chat = channel.DuplexStreaming(EchoService.Chat, Patient, CancellationToken.None);
        for (var i = 0; i < 2; i++)
        {
            await chat.WriteAsync(large, CancellationToken.None);
            Assert.True(await chat.Responses.MoveNextAsync(CancellationToken.None));
            Assert.Equal(large, chat.Responses.Current);
        }
    }

    public static async Task<List<T>> AllOf<T>(IMessageReader<T> reader)
    {
        var all = new List<T>();
        await foreach (var message in reader.ReadAllAsync(CancellationToken.None))
            all.Add(message);
        return all;
    }
}
