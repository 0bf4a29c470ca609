using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Health;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;
using Grpc.Health.V1;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace Grok1Cluster.Grpc.Tests.Calls;

public abstract class HealthTests(Transports transports) : TransportTests(transports)
{
    [Fact]
    public async Task Health_is_what_was_set()
    {
        var health = new HealthService();
        await using var server = await StartAsync(health);
        using var channel = server.Channel();
        Assert.False(await channel.IsServingAsync(HealthService.WholeServer, TestServer.Patience, CancellationToken.None));
        health.Set(HealthService.WholeServer, true);
        Assert.True(await channel.IsServingAsync(HealthService.WholeServer, TestServer.Patience, CancellationToken.None));
        health.Set("grok1.expert.v1.Expert", false);
        Assert.False(await channel.IsServingAsync("grok1.expert.v1.Expert", TestServer.Patience, CancellationToken.None));
        var unknown = await Assert.ThrowsAsync<RpcException>(() => channel.IsServingAsync("other", TestServer.Patience, CancellationToken.None));
        Assert.Equal(GrpcStatusCode.NotFound, unknown.Code);
    }

    [Fact]
    public async Task A_watcher_sees_every_change_of_its_service_only()
    {
        var health = new HealthService();
        await using var server = await StartAsync(health);
        using var channel = server.Channel();
        using var watch = channel.ServerStreaming(HealthMethods.Watch, new HealthCheckRequest { Service = "mine" }, GrpcCallOptions.Endless, CancellationToken.None);
        Assert.Equal(ServingStatus.ServiceUnknown, await Next(watch));
        health.Set("mine", true);
        Assert.Equal(ServingStatus.Serving, await Next(watch));
        health.Set("other", true);
        health.Set("mine", true);
        health.Set("mine", false);
        Assert.Equal(ServingStatus.NotServing, await Next(watch));
    }

    [Fact]
    public async Task Watchers_do_not_keep_a_server_from_stopping()
    {
        await using var server = await StartAsync(new HealthService());
        using var channel = server.Channel();
        using var watch = channel.ServerStreaming(HealthMethods.Watch, new HealthCheckRequest(), GrpcCallOptions.Endless, CancellationToken.None);
        Assert.Equal(ServingStatus.NotServing, await Next(watch));
        await server.Server.StopAsync(CancellationToken.None).WaitAsync(TestServer.Patience);
        var failure = await Assert.ThrowsAsync<RpcException>(() => Next(watch));
        Assert.Equal(GrpcStatusCode.Unavailable, failure.Code);
    }

    private Task<TestServer> StartAsync(HealthService health)
    {
        var services = new GrpcServices();
        health.AddTo(services);
        return StartAsync(services);
    }

    private static async Task<ServingStatus> Next(ServerStreamingCall<HealthCheckResponse> watch)
    {
        Assert.True(await watch.Responses.MoveNextAsync(CancellationToken.None).AsTask().WaitAsync(TestServer.Patience));
        return watch.Responses.Current.Status;
    }
}

public sealed class OwnHealthTests() : HealthTests(Transports.Own);

public sealed class StockHealthTests() : HealthTests(Transports.Stock);
