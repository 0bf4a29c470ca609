using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;

namespace Grok1Cluster.Grpc.Tests.Interop;

/// <summary>npm's @grpc/grpc-js, whose HTTP/2 is nghttp2, on the other side.</summary>
public abstract class NodeTests(Transports transports) : TransportTests(transports)
{
    [NodeFact]
    public async Task It_calls_our_server_in_every_shape()
    {
        await using var server = await StartAsync(new ServerCallOptions { MaxReceiveMessageBytes = TestServer.LargeLimit });
        await using var client = ScriptProcess.Node("client.js", server.Address);
        await client.SucceedAsync();
    }

    [NodeFact]
    public Task Our_client_calls_it_in_every_shape() => RunAsync(Conformance.AllFourCallShapes);

    [NodeFact]
    public Task Errors_keep_their_code_message_and_trailers() => RunAsync(Conformance.ErrorsWithAnyMessage);

    [NodeFact]
    public Task A_deadline_ends_a_call() => RunAsync(Conformance.Deadlines);

    [NodeFact]
    public Task Metadata_travels_both_ways() => RunAsync(Conformance.MetadataBothWays);

    [NodeFact]
    public Task Messages_of_16_MB_pass() => RunAsync(Conformance.SixteenMegabyteMessages);

    private async Task RunAsync(Func<GrpcChannel, Task> test)
    {
        await using var server = ScriptProcess.Node("echo_server.js");
        using var channel = Channel($"127.0.0.1:{await server.ReadLineAsync()}", new GrpcChannelOptions { MaxReceiveMessageBytes = TestServer.LargeLimit });
        await test(channel);
    }
}

public sealed class OwnNodeTests() : NodeTests(Transports.Own);

public sealed class StockNodeTests() : NodeTests(Transports.Stock);
