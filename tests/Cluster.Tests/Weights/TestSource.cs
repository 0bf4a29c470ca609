using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;
using Grok1Cluster.Weights;
using Grok1Cluster.Weights.Serving;

namespace Grok1Cluster.Cluster.Tests.Weights;

/// <summary>A server of weights that may do something else than it should.</summary>
internal sealed class TestSource : IAsyncDisposable
{
    private readonly GrpcServer _server;
    private int _asked;

    private TestSource(GrpcServer server) => _server = server;

    public string Address => _server.Addresses[0].ToString();

    /// <summary>Transfers of blocks that it was asked for.</summary>
    public int Asked => Volatile.Read(ref _asked);

    /// <summary>One that does what it should.</summary>
    public static async Task<TestSource> StartAsync(ModelStore store)
    {
        var services = new GrpcServices();
        new WeightService(new LocalWeights(store, null)).AddTo(services);
        return new TestSource(await ListenAsync(services));
    }

    /// <summary>One with a handler of its own for blocks.</summary>
    public static async Task<TestSource> StartAsync(Func<TestSource, GetBlocksRequest, IMessageWriter<BlockChunk>, ServerCallContext, Task> handler)
    {
        TestSource source = null!;
        var services = new GrpcServices().AddServerStreaming(WeightMethods.GetBlocks, (request, chunks, context) =>
        {
            Interlocked.Increment(ref source._asked);
            return handler(source, request, chunks, context);
        });
        return source = new TestSource(await ListenAsync(services));
    }

    /// <summary>Breaks off everything at once.</summary>
    public ValueTask DisposeAsync() => _server.DisposeAsync();

    /// <summary>The bytes of a block.</summary>
    public static byte[] Read(ModelStore store, int layer, int expert, int block)
    {
        var place = store.FindBlock(new BlockId(layer, expert, block))!.Value;
        using var file = File.OpenHandle(place.Path);
        var bytes = new byte[place.Bytes];
        RandomAccess.Read(file, bytes, place.Offset);
        return bytes;
    }

    private static Task<GrpcServer> ListenAsync(GrpcServices services) =>
        GrpcServer.StartAsync(services, new GrpcServerOptions { Listen = ["127.0.0.1:0"] }, CancellationToken.None);
}
