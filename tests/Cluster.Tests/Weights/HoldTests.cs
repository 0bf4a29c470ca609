using Google.Protobuf;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Grpc;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;
using Grok1Cluster.Protos.Expert.V1;
using Grok1Cluster.Weights.Cache;
using static Grok1Cluster.Cluster.Tests.Weights.ExpertCalls;

namespace Grok1Cluster.Cluster.Tests.Weights;

/// <summary>A worker whose tiles change while it computes.</summary>
public sealed class HoldTests(ModelFixture models) : IClassFixture<ModelFixture>, IAsyncLifetime
{
    private readonly string _cache = Directory.CreateTempSubdirectory("grok1-hold-").FullName;
    private ModelStore _store = null!;
    private ExpertWorkerHost _worker = null!;
    private WorkerClient _client = null!;

    public async Task InitializeAsync()
    {
        _store = ModelStore.Open(models.Golden("tiny-a"));
        _worker = await StartAsync(null);
        _client = new WorkerClient(_worker.Address.ToString());
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await _worker.DisposeAsync();
        _store.Dispose();
        Directory.Delete(_cache, recursive: true);
    }

    [Fact]
    public async Task A_worker_that_holds_nothing_says_so_and_holds_what_it_is_told_to()
    {
        var empty = await _client.DescribeAsync();
        Assert.Equal((0, 0), (empty.Tiles.Count, empty.Bytes));
        Assert.Equal(_store.Manifest.Fingerprint, empty.Fingerprint);
        Assert.True(empty.MemoryBytes > 0);
        Assert.Equal(CallFailure.Types.Reason.NotHeld, (await _client.ComputeAsync(_store, Range(0, 3, 0, Blocks))).Failure.Reason);

        var told = await _client.HoldAsync(Hold(_store, Range(0, 3, 0, Blocks), Range(1, 5, 1, 2)));
        var bytes = _store.ExpertLayout.Bytes(0, Blocks) + _store.ExpertLayout.Bytes(1, 2);
        Assert.Equal(((ulong)bytes, (ulong)bytes, 0ul), (told.DoneBytes, told.TotalBytes, told.FetchedBytes));
        var full = await _client.DescribeAsync();
        Assert.Equal(bytes, full.Bytes);
        Assert.Equal([(0u, 3u), (1u, 5u)], full.Tiles.Select(tile => (tile.Layer, tile.Expert)));
        Assert.Equal(ProcessResponse.KindOneofCase.Result, (await _client.ComputeAsync(_store, Range(0, 3, 0, Blocks))).KindCase);
        Assert.Equal(bytes, (long)(await _client.HoldAsync(Hold(_store, Range(0, 3, 0, Blocks), Range(1, 5, 1, 2)))).DoneBytes);
        Assert.Equal(bytes, (await _client.DescribeAsync()).Bytes);
    }

    [Fact]
    public async Task Blocks_that_came_one_by_one_have_the_bits_of_an_expert_that_came_at_once()
    {
        await _client.HoldAsync(Hold(_store, Range(2, 1, 0, Blocks)));
        var whole = await _client.ComputeAsync(_store, Range(2, 1, 0, Blocks));
        await _client.ReleaseAsync(Release(_store, Range(2, 1, 0, Blocks)));
        foreach (var block in Enumerable.Range(0, Blocks).Reverse())
            await _client.HoldAsync(Hold(_store, Range(2, 1, block, block + 1)));
        Assert.Equal(whole.Result.Values, (await _client.ComputeAsync(_store, Range(2, 1, 0, Blocks))).Result.Values);
    }

    [Fact]
    public async Task A_part_that_is_released_is_not_held_and_what_is_around_it_is()
    {
        await _client.HoldAsync(Hold(_store, Range(0, 0, 0, Blocks), Range(0, 1, 0, Blocks)));
        var before = await _client.ComputeAsync(_store, Range(0, 0, 2, Blocks));
        var left = await _client.ReleaseAsync(Release(_store, Range(0, 0, 1, 2), Range(0, 1, 0, Blocks), Range(0, 7, 0, Blocks)));
        Assert.Equal(_store.ExpertLayout.Bytes(0, 1) + _store.ExpertLayout.Bytes(2, Blocks), (long)left.HeldBytes);
        var layout = _store.ExpertLayout;
        Assert.Equal([layout.Slice(0, 0, 0, 1), layout.Slice(0, 0, 2, Blocks)],
            (await _client.DescribeAsync()).Tiles.Select(tile => new ExpertSlice((int)tile.Layer, (int)tile.Expert, (int)tile.Start, (int)tile.End)));
        foreach (var gone in new[] { Range(0, 0, 0, Blocks), Range(0, 0, 1, 2), Range(0, 1, 0, 1) })
            Assert.Equal(CallFailure.Types.Reason.NotHeld, (await _client.ComputeAsync(_store, gone)).Failure?.Reason);
        Assert.Equal(before.Result.Values, (await _client.ComputeAsync(_store, Range(0, 0, 2, Blocks))).Result.Values);
        Assert.Equal(ProcessResponse.KindOneofCase.Result, (await _client.ComputeAsync(_store, Range(0, 0, 0, 1))).KindCase);
    }

    [Fact]
    public async Task Calls_that_run_while_tiles_come_and_go_are_answered_with_the_same_bits_or_not_held()
    {
        var kept = Range(0, 2, 0, Blocks);
        BlockRange[] moved = [Range(0, 4, 0, Blocks), Range(0, 6, 0, 2)];
        await _client.HoldAsync(Hold(_store, [kept, .. moved]));
        var expected = (await _client.ComputeAsync(_store, kept)).Result.Values;
        var expectedMoved = (await _client.ComputeAsync(_store, moved)).Result.Values;
        using var stop = new CancellationTokenSource();
        var counts = Task.WhenAll(Enumerable.Range(0, 3).Select(number => Task.Run(() => StreamAsync(number == 0 ? [kept] : moved, number == 0 ? expected : expectedMoved, stop.Token))));
        for (var round = 0; round < 40; round++)
        {
            await _client.ReleaseAsync(Release(_store, moved));
            await _client.HoldAsync(Hold(_store, moved));
        }
        await stop.CancelAsync();
        var (answered, refused) = (await counts)[0];
        Assert.True(answered > 0);
        Assert.Equal(0, refused);
    }

    [Fact]
    public async Task Calls_that_came_before_a_release_are_answered_with_what_it_takes_away()
    {
        var tile = Range(3, 3, 0, Blocks);
        await _client.HoldAsync(Hold(_store, tile));
        using var stream = _client.Process();
        const int Calls = 40;
        for (var i = 1; i <= Calls; i++)
            await stream.WriteAsync(Call(_store, (ulong)i, tile), CancellationToken.None);
        Assert.True(await stream.Responses.MoveNextAsync(CancellationToken.None));
        Assert.Equal(0ul, (await _client.ReleaseAsync(Release(_store, tile))).HeldBytes);
        await stream.CompleteAsync(CancellationToken.None);
        var kinds = new List<ProcessResponse.KindOneofCase> { stream.Responses.Current.KindCase };
        while (await stream.Responses.MoveNextAsync(CancellationToken.None))
            kinds.Add(stream.Responses.Current.KindCase);
        Assert.Equal(Calls, kinds.Count);
        // Those on their way when the release came may be too late; none that was answered before it, and none in between.
        Assert.DoesNotContain(ProcessResponse.KindOneofCase.Result, kinds.SkipWhile(kind => kind == ProcessResponse.KindOneofCase.Result));
    }

    [Theory]
    [InlineData("other model", GrpcStatusCode.FailedPrecondition)]
    [InlineData("no range", GrpcStatusCode.InvalidArgument)]
    [InlineData("layer", GrpcStatusCode.InvalidArgument)]
    [InlineData("expert", GrpcStatusCode.InvalidArgument)]
    [InlineData("empty range", GrpcStatusCode.InvalidArgument)]
    [InlineData("4 billion blocks", GrpcStatusCode.InvalidArgument)]
    [InlineData("short hashes", GrpcStatusCode.InvalidArgument)]
    [InlineData("other hash", GrpcStatusCode.FailedPrecondition)]
    [InlineData("two hashes", GrpcStatusCode.InvalidArgument)]
    public async Task A_request_that_is_not_sound_changes_nothing(string fault, GrpcStatusCode expected)
    {
        var request = Hold(_store, Range(0, 0, 0, 2));
        var range = request.Ranges[0];
        switch (fault)
        {
            case "other model": request.Fingerprint = new string('0', 64); break;
            case "no range": range.Range = null; break;
            case "layer": range.Range.Layer = uint.MaxValue; break;
            case "expert": range.Range.Expert = (uint)_store.Config.ExpertCount; break;
            case "empty range": range.Range.EndBlock = 0; break;
            case "4 billion blocks": range.Range.EndBlock = uint.MaxValue; break;
            case "short hashes": range.Sha256 = ByteString.CopyFrom(range.Sha256.Span[..32]); break;
            case "other hash": range.Sha256 = ByteString.CopyFrom(new byte[64]); break;
            case "two hashes": request.Ranges.Add(new HoldRange { Range = Range(0, 0, 0, 1), Sha256 = ByteString.CopyFrom(new byte[32]) }); break;
        }
        Assert.Equal(expected, (await Assert.ThrowsAsync<RpcException>(() => _client.HoldAsync(request))).Code);
        Assert.Empty((await _client.DescribeAsync()).Tiles);
    }

    [Fact]
    public async Task What_does_not_fit_into_memory_is_refused_with_both_figures_before_anything_is_loaded()
    {
        var bytes = _store.ExpertLayout.Bytes(0, Blocks);
        await using var small = await StartAsync(bytes);
        using var client = new WorkerClient(small.Address.ToString());
        Assert.Equal(bytes, (await client.DescribeAsync()).MemoryBytes);
        await client.HoldAsync(Hold(_store, Range(0, 0, 0, Blocks - 1)));
        var refused = await Assert.ThrowsAsync<RpcException>(() => client.HoldAsync(Hold(_store, Range(0, 1, 0, 2))));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, refused.Code);
        Assert.Matches($"\\({_store.ExpertLayout.Bytes(0, Blocks - 1) + _store.ExpertLayout.Bytes(0, 2)} bytes\\) of memory, .*\\({bytes} bytes\\) are available", refused.Message);
        Assert.Single((await client.DescribeAsync()).Tiles);
    }

    [Fact]
    public async Task What_is_not_on_this_machine_comes_from_a_worker_that_holds_it_and_computes_the_same_bits()
    {
        await using var giver = await ExpertWorkerHost.StartAsync(new ExpertWorkerOptions { Id = "giver", ModelPath = models.Golden("tiny-a"), Threads = 1 }, _ => { }, CancellationToken.None);
        using var rich = new WorkerClient(giver.Address.ToString());
        await using var taker = await ExpertWorkerHost.StartAsync(
            new ExpertWorkerOptions { Id = "taker", Sources = [giver.Address.ToString()], Cache = new WeightCacheOptions { Root = _cache }, Threads = 1 }, _ => { }, CancellationToken.None);
        using var poor = new WorkerClient(taker.Address.ToString());
        Assert.Equal((_store.Manifest.Fingerprint, 0), ((await poor.DescribeAsync()).Fingerprint, (await poor.DescribeAsync()).Tiles.Count));

        var request = Hold(_store, Range(0, 5, 0, Blocks), Range(7, 2, 1, 3));
        request.Sources.Add(giver.Address.ToString());
        var told = await poor.HoldAsync(request);
        Assert.Equal((told.TotalBytes, told.TotalBytes), (told.DoneBytes, told.FetchedBytes));
        foreach (var range in request.Ranges.Select(range => range.Range))
            Assert.Equal((await rich.ComputeAsync(_store, range)).Result.Values, (await poor.ComputeAsync(_store, range)).Result.Values);

        // What it fetched it gives on, and has again without a source.
        await using var third = await ExpertWorkerHost.StartAsync(
            new ExpertWorkerOptions { Id = "third", Sources = [taker.Address.ToString()], Cache = new WeightCacheOptions { Root = Path.Combine(_cache, "third") }, Threads = 1 }, _ => { }, CancellationToken.None);
        using var last = new WorkerClient(third.Address.ToString());
        request.Sources[0] = taker.Address.ToString();
        Assert.Equal(told.TotalBytes, (await last.HoldAsync(request)).FetchedBytes);
        await poor.ReleaseAsync(Release(_store, [.. request.Ranges.Select(range => range.Range)]));
        request.Sources.Clear();
        Assert.Equal((told.TotalBytes, 0ul), (await poor.HoldAsync(request)) is var again ? (again.DoneBytes, again.FetchedBytes) : default);
    }

    private int Blocks => _store.ExpertLayout.Blocks.Count;

    private Task<ExpertWorkerHost> StartAsync(long? memoryLimit) => ExpertWorkerHost.StartAsync(new ExpertWorkerOptions
    {
        Id = "w", ModelPath = models.Golden("tiny-a"), Threads = 1, HoldNothing = true, MemoryLimit = memoryLimit, Weights = new WeightMemory(WeightPages.Copied),
        Cache = new WeightCacheOptions { Root = _cache },
    }, _ => { }, CancellationToken.None);

    /// <summary>Calls one after the other; how many were answered, all with the expected bits, and how many refused because nothing was held.</summary>
    private async Task<(int Answered, int Refused)> StreamAsync(BlockRange[] ranges, ByteString expected, CancellationToken stop)
    {
        using var stream = _client.Process();
        var (answered, refused) = (0, 0);
        for (ulong id = 1; !stop.IsCancellationRequested; id++)
        {
            await stream.WriteAsync(Call(_store, id, ranges), CancellationToken.None);
            Assert.True(await stream.Responses.MoveNextAsync(CancellationToken.None));
            var response = stream.Responses.Current;
            if (response.KindCase == ProcessResponse.KindOneofCase.Result)
            {
                Assert.Equal(expected, response.Result.Values);
                answered++;
            }
            else
            {
                Assert.Equal(CallFailure.Types.Reason.NotHeld, response.Failure.Reason);
                refused++;
            }
        }
        return (answered, refused);
    }
}
