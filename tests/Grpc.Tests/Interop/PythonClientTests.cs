using Grok1Cluster.Grpc.Health;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Grpc.Tests.Interop;

/// <summary>Python's grpcio calls our server; what is expected stands in client.py.</summary>
public abstract class PythonClientTests(Transports transports) : TransportTests(transports)
{
    private const string Module = "grpc", Package = "python3-grpcio";

    private static readonly ServerCallOptions LargeMessages = new() { MaxReceiveMessageBytes = TestServer.LargeLimit };

    [PythonFact(Module, Package)]
    public Task All_four_call_shapes_work() => RunAsync("shapes");

    [PythonFact(Module, Package)]
    public async Task All_four_call_shapes_work_over_a_unix_socket()
    {
        await using var server = await StartAsync(new GrpcServerOptions { Listen = [$"unix:{TestServer.SocketPath()}"] });
        await RunAsync(server, "shapes");
    }

    [PythonFact(Module, Package)]
    public Task Errors_keep_their_code_message_and_trailers() => RunAsync("errors");

    [PythonFact(Module, Package)]
    public async Task A_deadline_ends_the_call_on_both_sides()
    {
        await using var server = await StartAsync();
        await RunAsync(server, "deadline");
        await server.CallCancelled;
    }

    [PythonFact(Module, Package)]
    public async Task A_cancelled_call_is_seen_by_the_server()
    {
        await using var server = await StartAsync();
        await RunAsync(server, "cancel");
        await server.CallCancelled;
    }

    [PythonFact(Module, Package)]
    public Task Metadata_travels_both_ways() => RunAsync("metadata");

    [PythonFact(Module, Package)]
    public async Task Messages_of_16_MB_pass()
    {
        await using var server = await StartAsync(LargeMessages);
        await RunAsync(server, "large");
    }

    [PythonFact(Module, Package)]
    public Task A_message_over_the_limit_is_refused() => RunAsync("limit");

    [PythonFact(Module, Package)]
    public Task Compressed_messages_are_refused_by_name() => RunAsync("compression");

    [PythonFact(Module, Package)]
    public async Task Health_is_understood()
    {
        var health = new HealthService();
        health.Set(HealthService.WholeServer, true);
        health.Set("down", false);
        var services = new GrpcServices();
        health.AddTo(services);
        await using var server = await StartAsync(services);
        await RunAsync(server, "health");
    }

    private async Task RunAsync(string scenario)
    {
        await using var server = await StartAsync();
        await RunAsync(server, scenario);
    }

    private static async Task RunAsync(TestServer server, string scenario)
    {
        await using var client = ScriptProcess.Python("client.py", server.Address, scenario);
        await client.SucceedAsync();
    }
}

public sealed class OwnPythonClientTests() : PythonClientTests(Transports.Own);

public sealed class StockPythonClientTests() : PythonClientTests(Transports.Stock);
