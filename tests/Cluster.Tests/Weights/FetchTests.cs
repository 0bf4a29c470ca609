using Google.Protobuf;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;
using Grok1Cluster.Weights.Cache;
using Grok1Cluster.Weights.Fetching;

namespace Grok1Cluster.Cluster.Tests.Weights;

/// <summary>Blocks from several sources, of which some die, lie or stand still.</summary>
public sealed class FetchTests(ModelFixture models) : IClassFixture<ModelFixture>, IAsyncLifetime
{
    private readonly string _root = Directory.CreateTempSubdirectory("grok1-fetch-").FullName;
    private readonly List<string> _notes = [];
    private readonly TaskCompletionSource _noted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ModelStore _store = null!;
    private TestSource _good = null!;
    private long _fetched;

    public async Task InitializeAsync()
    {
        _store = ModelStore.Open(models.Golden("tiny-a"));
        _good = await TestSource.StartAsync(_store);
    }

    public async Task DisposeAsync()
    {
        await _good.DisposeAsync();
        _store.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    [Fact]
    public async Task Blocks_of_two_sources_are_the_bytes_of_the_store_and_are_fetched_once()
    {
        await using var second = await TestSource.StartAsync(_store);
        using var cache = Cache();
        await FetchAsync(cache, All, [_good.Address, second.Address]);
        AssertComplete(cache);
        Assert.Equal(Bytes(All), _fetched);
        await FetchAsync(cache, All, []);
        Assert.Equal(Bytes(All), _fetched);
    }

    [Fact]
    public async Task What_a_source_that_dies_in_the_middle_did_not_send_comes_from_the_other()
    {
        var died = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var dying = await TestSource.StartAsync(async (source, request, chunks, _) =>
        {
            died.TrySetResult();
            var range = request.Range;
            var bytes = TestSource.Read(_store, (int)range.Layer, (int)range.Expert, (int)range.FirstBlock);
            await chunks.WriteAsync(Chunk(range.FirstBlock, 0, bytes), CancellationToken.None);
            await source.DisposeAsync();
        });
        await using var other = await HonestAfterAsync(died.Task);
        using var cache = Cache();
        await FetchAsync(cache, All, [dying.Address, other.Address]);
        AssertComplete(cache);
        Assert.True(dying.Asked > 0);
    }

    [Fact]
    public async Task A_source_that_sends_wrong_bytes_is_named_and_nothing_of_it_stays()
    {
        await using var lying = await TestSource.StartAsync(async (_, request, chunks, context) =>
        {
            for (var block = request.Range.FirstBlock; block < request.Range.EndBlock; block++)
            {
                var bytes = TestSource.Read(_store, (int)request.Range.Layer, (int)request.Range.Expert, (int)block);
                bytes[^1] ^= 1;
                await chunks.WriteAsync(Chunk(block, 0, bytes), context.CancellationToken);
            }
        });
        await using var honest = await HonestAfterAsync(_noted.Task);
        using var cache = Cache();
        await FetchAsync(cache, All, [lying.Address, honest.Address]);
        AssertComplete(cache);
        Assert.Matches($"source {lying.Address} is not asked for weights any more: sent layer . expert . block . with another SHA-256", Assert.Single(_notes));
        Assert.InRange(lying.Asked, 1, 2);
    }

    [Fact]
    public async Task A_source_that_stands_still_holds_up_nothing()
    {
        var still = new TaskCompletionSource();
        await using var slow = await TestSource.StartAsync(async (_, _, _, context) =>
        {
            still.TrySetResult();
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        });
        await using var late = await HonestAfterAsync(still.Task);
        using var cache = Cache();
        await FetchAsync(cache, All, [slow.Address, late.Address]);
        AssertComplete(cache);
        Assert.Empty(_notes);
    }

    [Fact]
    public async Task Blocks_that_only_one_source_has_come_from_it()
    {
        await using var poor = await TestSource.StartAsync((_, request, _, _) => throw new RpcException(GrpcStatusCode.NotFound, "not here"));
        using var cache = Cache();
        await FetchAsync(cache, All, [poor.Address, _good.Address]);
        AssertComplete(cache);
        Assert.Empty(_notes);

        using var other = new WeightCache(_store, new WeightCacheOptions { Root = Path.Combine(_root, "other") });
        var error = await Assert.ThrowsAsync<RpcException>(() => FetchAsync(other, All, [poor.Address]));
        Assert.Contains($"layer 0 expert 0 block 0 could not be fetched: {poor.Address} does not have it", error.Message);
    }

    [Theory]
    [InlineData("longer than the block", "where byte 0 of")]
    [InlineData("empty", "where byte 0 of")]
    [InlineData("another block", "where byte 0 of")]
    [InlineData("a hole", "where byte 16 of")]
    [InlineData("offset of 2^64", "where byte 0 of")]
    [InlineData("too little", "no more than 16 of")]
    [InlineData("too much", "more than it was asked for")]
    public async Task Chunks_that_do_not_fit_the_layout_end_with_an_error_that_names_the_source(string fault, string message)
    {
        await using var hostile = await TestSource.StartAsync(async (_, request, chunks, context) =>
        {
            var block = request.Range.FirstBlock;
            var bytes = TestSource.Read(_store, (int)request.Range.Layer, (int)request.Range.Expert, (int)block);
            BlockChunk[] sent = fault switch
            {
                "longer than the block" => [Chunk(block, 0, [.. bytes, 0])],
                "empty" => [Chunk(block, 0, [])],
                "another block" => [Chunk(block + 1, 0, bytes)],
                "a hole" => [Chunk(block, 0, bytes[..16]), Chunk(block, 17, bytes[17..])],
                "offset of 2^64" => [Chunk(block, ulong.MaxValue, bytes)],
                "too little" => [Chunk(block, 0, bytes[..16])],
                _ => [Chunk(block, 0, bytes), Chunk(block, 0, bytes)],
            };
            foreach (var chunk in sent)
                await chunks.WriteAsync(chunk, context.CancellationToken);
        });
        using var cache = Cache();
        var error = await Assert.ThrowsAsync<RpcException>(() => FetchAsync(cache, [All[0]], [hostile.Address]));
        Assert.Matches($"{hostile.Address} is out: sent .*{message}", error.Message);
        Assert.Contains(hostile.Address, Assert.Single(_notes));
    }

    [Fact]
    public async Task A_source_of_another_model_is_not_asked_again()
    {
        using var tinyB = ModelStore.Open(models.Golden("tiny-b"));
        await using var other = await TestSource.StartAsync(tinyB);
        await using var right = await HonestAfterAsync(_noted.Task);
        using var cache = Cache();
        await FetchAsync(cache, All, [other.Address, right.Address]);
        AssertComplete(cache);
        Assert.Contains($"the weights here are of the model {tinyB.Manifest.Fingerprint[..16]}", Assert.Single(_notes));
    }

    [Fact]
    public async Task A_disk_without_room_is_told_with_both_figures_before_any_source_is_asked()
    {
        await using var source = await TestSource.StartAsync((_, _, _, _) => Task.CompletedTask);
        using var cache = new WeightCache(_store, new WeightCacheOptions { Root = _root, AvailableBytes = _ => Bytes(All) - 1 });
        var error = await Assert.ThrowsAsync<ResourceException>(() => FetchAsync(cache, All, [source.Address]));
        Assert.Contains($"needs {ByteSize.FormatExactly(Bytes(All))} more of disk, {ByteSize.FormatExactly(Bytes(All) - 1)} are available", error.Message);
        Assert.Equal(0, source.Asked);
    }

    [Fact]
    public async Task A_source_that_comes_back_is_asked_again()
    {
        var failures = 0;
        await using var moody = await TestSource.StartAsync(async (_, request, chunks, context) =>
        {
            if (Interlocked.Increment(ref failures) == 1)
                throw new RpcException(GrpcStatusCode.Unavailable, "in a moment");
            for (var block = request.Range.FirstBlock; block < request.Range.EndBlock; block++)
                await chunks.WriteAsync(Chunk(block, 0, TestSource.Read(_store, (int)request.Range.Layer, (int)request.Range.Expert, (int)block)), context.CancellationToken);
        });
        using var cache = Cache();
        await FetchAsync(cache, All, [moody.Address]);
        AssertComplete(cache);
    }

    /// <summary>Blocks of four experts, with their hashes.</summary>
    private (BlockId Id, string Sha256)[] All => [.. _store.Manifest.Experts.Where(expert => expert.Layer < 2 && expert.Expert < 2).SelectMany(expert => expert.Blocks())];

    /// <summary>A source that sends what it should, and begins when something has happened to another, which would have nothing to do else.</summary>
    private Task<TestSource> HonestAfterAsync(Task happened) => TestSource.StartAsync(async (_, request, chunks, context) =>
    {
        await happened.WaitAsync(context.CancellationToken);
        for (var block = request.Range.FirstBlock; block < request.Range.EndBlock; block++)
            await chunks.WriteAsync(Chunk(block, 0, TestSource.Read(_store, (int)request.Range.Layer, (int)request.Range.Expert, (int)block)), context.CancellationToken);
    });

    private static BlockChunk Chunk(uint block, ulong offset, byte[] data) => new() { Block = block, Offset = offset, Data = ByteString.CopyFrom(data) };

    private WeightCache Cache() => new(_store, new WeightCacheOptions { Root = _root });

    private long Bytes(IEnumerable<(BlockId Id, string Sha256)> blocks) => blocks.Sum(block => _store.ExpertLayout.Blocks[block.Id.Block].Bytes);

    private Task FetchAsync(WeightCache cache, (BlockId, string)[] wanted, string[] sources) => new BlockFetcher(_store, cache, note =>
    {
        lock (_notes)
            _notes.Add(note);
        _noted.TrySetResult();
    }).FetchAsync(wanted, sources, 0, bytes => Interlocked.Add(ref _fetched, bytes), CancellationToken.None).WaitAsync(TestKit.Grok1Process.DefaultTimeout);

    /// <summary>A fresh look at the directory finds every block, with the bytes of the store.</summary>
    private void AssertComplete(WeightCache cache)
    {
        using var fresh = new WeightCache(_store, new WeightCacheOptions { Root = Path.GetDirectoryName(cache.Directory)! });
        foreach (var (id, sha256) in All)
        {
            var place = fresh.Find(id)!.Value;
            Assert.Equal(sha256, place.Sha256);
            using var file = File.OpenHandle(place.Path);
            var bytes = new byte[place.Bytes];
            RandomAccess.Read(file, bytes, place.Offset);
            Assert.Equal(TestSource.Read(_store, id.Layer, id.Expert, id.Block), bytes);
        }
    }
}
