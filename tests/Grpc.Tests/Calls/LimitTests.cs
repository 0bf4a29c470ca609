using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;

namespace Grok1Cluster.Grpc.Tests.Calls;

public abstract class LimitTests(Transports transports) : TransportTests(transports)
{
    private const int DefaultLimit = 4 << 20;

    [Fact]
    public async Task The_server_takes_4_MiB_and_not_a_byte_more()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel();
        Assert.Equal(DefaultLimit, (await channel.UnaryAsync(EchoService.Echo, new byte[DefaultLimit], Conformance.Patient, CancellationToken.None)).Length);
        await Refused(channel.UnaryAsync(EchoService.Echo, new byte[DefaultLimit + 1], Conformance.Patient, CancellationToken.None));
    }

    [Fact]
    public async Task The_client_takes_no_more_than_its_limit()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel(new GrpcChannelOptions { MaxReceiveMessageBytes = 1000 });
        Assert.Equal(1000, (await channel.UnaryAsync(EchoService.Echo, new byte[1000], Conformance.Patient, CancellationToken.None)).Length);
        await Refused(channel.UnaryAsync(EchoService.Echo, new byte[1001], Conformance.Patient, CancellationToken.None));
    }

    [Fact]
    public async Task The_client_sends_no_more_than_its_limit()
    {
        await using var server = await StartAsync();
        using var channel = server.Channel(new GrpcChannelOptions { MaxSendMessageBytes = 1000 });
        await Refused(channel.UnaryAsync(EchoService.Echo, new byte[1001], Conformance.Patient, CancellationToken.None));
        using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        await Refused(chat.WriteAsync(new byte[1001], CancellationToken.None).AsTask());
    }

    [Fact]
    public async Task The_server_sends_no_more_than_its_limit()
    {
        await using var server = await StartAsync(new ServerCallOptions { MaxSendMessageBytes = 1000 });
        using var channel = server.Channel();
        await Refused(channel.UnaryAsync(EchoService.Echo, new byte[1001], Conformance.Patient, CancellationToken.None));
        using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        await chat.WriteAsync(new byte[1001], CancellationToken.None);
        await Refused(chat.Responses.MoveNextAsync(CancellationToken.None).AsTask());
    }

    [Fact]
    public async Task A_sender_waits_for_a_slow_reader()
    {
        var written = 0;
        var blocked = new TaskCompletionSource();
        var services = new GrpcServices().AddServerStreaming(EchoService.Chat, async (_, responses, context) =>
        {
            while (written < 1000)
            {
                var write = responses.WriteAsync(new byte[100_000], context.CancellationToken);
                if (!write.IsCompleted)
                    blocked.TrySetResult();
                await write;
                written++;
            }
        });
        await using var server = await StartAsync(services);
        using var channel = server.Channel(new GrpcChannelOptions { StreamWindowBytes = 65_535 });
        using var call = channel.ServerStreaming(EchoService.Chat, [], Conformance.Patient, CancellationToken.None);
        await blocked.Task.WaitAsync(TestServer.Patience);
        Assert.InRange(written, 0, 500);
        Assert.Equal(1000, (await Conformance.AllOf(call.Responses)).Count);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, -1)]
    public void Options_out_of_range_are_named(int receive, int send)
    {
        var options = new GrpcChannelOptions { MaxReceiveMessageBytes = receive, MaxSendMessageBytes = send, StreamWindowBytes = 1 };
        var error = Assert.Throws<ArgumentException>(() => new GrpcChannel("localhost:1", options));
        Assert.Contains(nameof(GrpcChannelOptions.StreamWindowBytes), error.Message);
        Assert.Equal(receive < 1, error.Message.Contains(nameof(GrpcChannelOptions.MaxReceiveMessageBytes)));
        Assert.Equal(send < 1, error.Message.Contains(nameof(GrpcChannelOptions.MaxSendMessageBytes)));
    }

    private static async Task Refused(Task call) =>
        Assert.Equal(GrpcStatusCode.ResourceExhausted, (await Assert.ThrowsAsync<RpcException>(() => call)).Code);
}

public sealed class OwnLimitTests() : LimitTests(Transports.Own);

public sealed class StockLimitTests() : LimitTests(Transports.Stock);
