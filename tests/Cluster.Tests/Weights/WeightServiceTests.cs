using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;

namespace Grok1Cluster.Cluster.Tests.Weights;

/// <summary>Who gives weights away gives what was asked for, and nothing for what cannot be.</summary>
public sealed class WeightServiceTests(ModelFixture models) : IClassFixture<ModelFixture>, IAsyncLifetime
{
    private ModelStore _store = null!;
    private TestSource _source = null!;
    private GrpcChannel _channel = null!;

    public async Task InitializeAsync()
    {
        _store = ModelStore.Open(models.Golden("tiny-a"));
        _source = await TestSource.StartAsync(_store);
        _channel = new GrpcChannel(_source.Address, new GrpcChannelOptions());
    }

    public async Task DisposeAsync()
    {
        _channel.Dispose();
        await _source.DisposeAsync();
        _store.Dispose();
    }

    [Fact]
    public async Task A_manifest_is_the_bytes_of_the_stores_file()
    {
        foreach (var fingerprint in new[] { "", _store.Manifest.Fingerprint })
        {
            var received = await ReadAsync(WeightMethods.GetManifest, new GetManifestRequest { Fingerprint = fingerprint }, chunk => chunk.Data.ToByteArray());
            Assert.Equal(File.ReadAllBytes(Path.Combine(_store.Directory, StoreManifest.FileName)), received.SelectMany(bytes => bytes));
        }
        Assert.Equal(GrpcStatusCode.NotFound, (await Assert.ThrowsAsync<RpcException>(() =>
            ReadAsync(WeightMethods.GetManifest, new GetManifestRequest { Fingerprint = new string('0', 64) }, chunk => chunk))).Code);
    }

    [Fact]
    public async Task Blocks_come_in_order_with_the_bytes_of_the_store()
    {
        var chunks = await ReadAsync(WeightMethods.GetBlocks, Request(ExpertCalls.Range(1, 2, 1, 3)), chunk => (chunk.Block, chunk.Offset, Data: chunk.Data.ToByteArray()));
        Assert.Equal([1u, 2u], chunks.Select(chunk => chunk.Block).Distinct());
        foreach (var block in chunks.GroupBy(chunk => chunk.Block))
            Assert.Equal(TestSource.Read(_store, 1, 2, (int)block.Key), block.OrderBy(chunk => chunk.Offset).SelectMany(chunk => chunk.Data));
    }

    [Theory]
    [InlineData(uint.MaxValue, 0, 0, 1)]
    [InlineData(0, uint.MaxValue, 0, 1)]
    [InlineData(0, 0, 1, 1)]
    [InlineData(0, 0, 2, 1)]
    [InlineData(0, 0, 0, uint.MaxValue)]
    [InlineData(0, 0, uint.MaxValue, uint.MaxValue)]
    public async Task A_range_outside_the_model_is_refused(uint layer, uint expert, uint first, uint end)
    {
        var request = Request(new BlockRange { Layer = layer, Expert = expert, FirstBlock = first, EndBlock = end });
        Assert.Equal(GrpcStatusCode.InvalidArgument, (await Assert.ThrowsAsync<RpcException>(() => ReadAsync(WeightMethods.GetBlocks, request, chunk => chunk))).Code);
    }

    [Fact]
    public async Task No_range_and_another_model_are_refused()
    {
        Assert.Equal(GrpcStatusCode.InvalidArgument, (await Assert.ThrowsAsync<RpcException>(() => ReadAsync(WeightMethods.GetBlocks, Request(null), chunk => chunk))).Code);
        var other = Request(ExpertCalls.Range(0, 0, 0, 1));
        other.Fingerprint = "";
        Assert.Equal(GrpcStatusCode.FailedPrecondition, (await Assert.ThrowsAsync<RpcException>(() => ReadAsync(WeightMethods.GetBlocks, other, chunk => chunk))).Code);
    }

    [Fact]
    public async Task Many_transfers_at_once_are_all_served()
    {
        var all = await Task.WhenAll(Enumerable.Range(0, 40).Select(_ => ReadAsync(WeightMethods.GetBlocks, Request(ExpertCalls.Range(0, 0, 0, 2)), chunk => chunk.Data.Length)));
        Assert.All(all, lengths => Assert.Equal(_store.ExpertLayout.Bytes(0, 2), lengths.Sum()));
    }

    private GetBlocksRequest Request(BlockRange? range) => new() { Fingerprint = _store.Manifest.Fingerprint, Range = range };

    private async Task<List<T>> ReadAsync<TRequest, TResponse, T>(GrpcMethod<TRequest, TResponse> method, TRequest request, Func<TResponse, T> select)
    {
        using var call = _channel.ServerStreaming(method, request, GrpcCallOptions.Endless, CancellationToken.None);
        var read = new List<T>();
        while (await call.Responses.MoveNextAsync(CancellationToken.None))
            read.Add(select(call.Responses.Current));
        return read;
    }
}
