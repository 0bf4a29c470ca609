using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Health;
using Grok1Cluster.Grpc.Tests.Support;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Grpc.Tests.Interop;

/// <summary>Our client calls a server of Python's grpcio, echo_server.py.</summary>
public abstract class PythonServerTests(Transports transports) : TransportTests(transports)
{
    private const string Module = "grpc", Package = "python3-grpcio";

    [PythonFact(Module, Package)]
    public Task All_four_call_shapes_work() => RunAsync((channel, _) => Conformance.AllFourCallShapes(channel));

    [PythonFact(Module, Package)]
    public Task Errors_keep_their_code_message_and_trailers() => RunAsync((channel, _) => Conformance.ErrorsWithAnyMessage(channel));

    [PythonFact(Module, Package)]
    public Task A_deadline_ends_the_call_on_both_sides() => RunAsync(async (channel, server) =>
    {
        await Conformance.Deadlines(channel);
        Assert.Equal("cancelled", await server.ReadLineAsync());
    });

    [PythonFact(Module, Package)]
    public Task A_cancelled_call_is_seen_by_the_server() => RunAsync((channel, server) =>
        Conformance.Cancellation(channel, async () => Assert.Equal("cancelled", await server.ReadLineAsync())));

    [PythonFact(Module, Package)]
    public Task Metadata_travels_both_ways() => RunAsync((channel, _) => Conformance.MetadataBothWays(channel));

    [PythonFact(Module, Package)]
    public Task Messages_of_16_MB_pass() => RunAsync((channel, _) => Conformance.SixteenMegabyteMessages(channel));

    [PythonFact(Module, Package)]
    public Task Health_is_understood() => RunAsync(async (channel, _) =>
    {
        Assert.True(await channel.IsServingAsync(HealthService.WholeServer, TestServer.Patience, CancellationToken.None));
        var unknown = await Assert.ThrowsAsync<RpcException>(() => channel.IsServingAsync("other", TestServer.Patience, CancellationToken.None));
        Assert.Equal(GrpcStatusCode.NotFound, unknown.Code);
    });

    private async Task RunAsync(Func<GrpcChannel, ScriptProcess, Task> test)
    {
        await using var server = ScriptProcess.Python("echo_server.py");
        using var channel = Channel($"127.0.0.1:{await server.ReadLineAsync()}", new GrpcChannelOptions { MaxReceiveMessageBytes = TestServer.LargeLimit });
        await test(channel, server);
    }
}

public sealed class OwnPythonServerTests() : PythonServerTests(Transports.Own);

public sealed class StockPythonServerTests() : PythonServerTests(Transports.Stock);
