using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Weights.Cache;
using Grok1Cluster.Weights.Fetching;

namespace Grok1Cluster.Cluster.Tests.Weights;

/// <summary>What is on disk after kills, power cuts and other processes, and how much of it.</summary>
public sealed class CacheTests(ModelFixture models) : IClassFixture<ModelFixture>, IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("grok1-cache-").FullName;
    private readonly ModelStore _store = ModelStore.Open(models.Golden("tiny-a"));

    public void Dispose()
    {
        _store.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    [Theory]
    [InlineData("0 0 1")]
    [InlineData("0 0 1 99999999999999999999 ")]
    [InlineData("\0\0\0\0\0\0\0")]
    [InlineData("-1 0 0 10 ")]
    [InlineData("0 900000 0 10 0000000000000000000000000000000000000000000000000000000000000000")]
    public void A_line_that_a_power_cut_spoiled_is_a_block_that_is_not_there_and_harms_no_other(string torn)
    {
        using (var cache = Cache())
            Add(cache, Block(0));
        File.AppendAllText(Path.Combine(_root, _store.Manifest.Fingerprint, WeightCache.RecordName), $"\n{torn}");
        using (var cache = Cache())
            Add(cache, Block(2));
        using var fresh = Cache();
        Assert.Equal([true, false, true], new[] { 0, 1, 2 }.Select(block => fresh.Find(new BlockId(0, 0, block)) is not null));
        Assert.Equal(_store.ExpertLayout.Bytes(0, 1) + _store.ExpertLayout.Bytes(2, 3), fresh.Bytes);
    }

    [Fact]
    public void A_recorded_block_whose_file_is_gone_is_not_there()
    {
        using var cache = Cache();
        Add(cache, Block(0));
        File.Delete(cache.Find(new BlockId(0, 0, 0))!.Value.Path);
        using var fresh = Cache();
        Assert.Null(fresh.Find(new BlockId(0, 0, 0)));
    }

    [Fact]
    public async Task Two_that_fetch_the_same_into_one_cache_both_have_it_and_neither_spoils_it()
    {
        await using var source = await TestSource.StartAsync(_store);
        (BlockId, string)[] wanted = [.. _store.Manifest.Experts.Take(6).SelectMany(expert => expert.Blocks())];
        using var first = Cache();
        using var second = Cache();
        await Task.WhenAll(new[] { first, second }.Select(cache => new BlockFetcher(_store, cache, _ => { }).FetchAsync(wanted, [source.Address], 0, _ => { }, CancellationToken.None)));
        foreach (var cache in new[] { first, second, Cache() })
            Assert.All(wanted, block => Assert.Equal(block.Item2, cache.Find(block.Item1)?.Sha256));
    }

    [Fact]
    public void Other_bytes_for_a_block_that_is_there_are_refused()
    {
        using var cache = Cache();
        Add(cache, Block(0));
        var error = Assert.Throws<ModelException>(() => cache.Add([Block(0) with { Sha256 = new string('0', 64) }]));
        Assert.Contains("layer 0 expert 0 block 0 with other bytes", error.Message);
    }

    [Fact]
    public void A_cache_at_its_limit_loses_the_models_that_were_not_used_for_longest_but_none_in_use()
    {
        var bytes = _store.ExpertLayout.Bytes(0, 1);
        var (oldest, newer, used) = (Other('1', days: 3), Other('2', days: 2), Other('3', days: 9));
        using var inUse = new FileStream(Path.Combine(used, "in-use"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        using var cache = Cache(limit: 3 * bytes);
        cache.Reserve(bytes);
        Assert.Equal([false, true, true], new[] { oldest, newer, used }.Select(Directory.Exists));
        Add(cache, Block(0));
        var error = Assert.Throws<ResourceException>(() => cache.Reserve(2 * bytes));
        Assert.Contains($"would grow to {ByteSize.FormatExactly(4 * bytes)}, its limit is {ByteSize.FormatExactly(3 * bytes)}", error.Message);
        Assert.True(Directory.Exists(used));
        Assert.NotNull(cache.Find(new BlockId(0, 0, 0)));

        string Other(char digit, int days)
        {
            var directory = Path.Combine(_root, new string(digit, 64));
            Directory.CreateDirectory(directory);
            File.WriteAllText(Path.Combine(directory, WeightCache.RecordName), $"\n0 0 0 {bytes} {new string('a', 64)}");
            File.WriteAllText(Path.Combine(directory, "in-use"), "");
            File.SetLastWriteTimeUtc(Path.Combine(directory, "in-use"), DateTime.UtcNow.AddDays(-days));
            return directory;
        }
    }

    [Fact]
    public void A_limit_on_bytes_a_second_holds_for_all_who_take_together()
    {
        var time = new StillTime();
        var bucket = new TokenBucket(1000, time);
        Assert.True(bucket.TakeAsync(100, CancellationToken.None).IsCompletedSuccessfully);
        Assert.False(bucket.TakeAsync(500, CancellationToken.None).IsCompleted);
        Assert.False(bucket.TakeAsync(500, CancellationToken.None).IsCompleted);
        Assert.Equal([0.5, 1.0], time.Waits);
        time.Seconds = 60;
        Assert.True(bucket.TakeAsync(100, CancellationToken.None).IsCompletedSuccessfully);
        Assert.False(bucket.TakeAsync(1000, CancellationToken.None).IsCompleted);
        Assert.Equal(1.0, time.Waits[^1]);
        Assert.True(new TokenBucket(0, time).TakeAsync(int.MaxValue, CancellationToken.None).IsCompletedSuccessfully);
    }

    private static void Add(WeightCache cache, VerifiedBlock block)
    {
        cache.Add([block]);
        cache.Sync();
    }

    private WeightCache Cache(long? limit = null) => new(_store, new WeightCacheOptions { Root = _root, Limit = limit });

    private VerifiedBlock Block(int block) => new(new BlockId(0, 0, block), _store.FindBlock(new BlockId(0, 0, block))!.Value.Sha256, TestSource.Read(_store, 0, 0, block));

    /// <summary>A clock that is set, and that writes down what others wait for.</summary>
    private sealed class StillTime : TimeProvider
    {
        public double Seconds { get; set; }

        public List<double> Waits { get; } = [];

        public override long TimestampFrequency => 1_000_000;

        public override long GetTimestamp() => (long)(Seconds * TimestampFrequency);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Waits.Add(Math.Round(dueTime.TotalSeconds, 3));
            return new Timer(callback, state, Timeout.Infinite, Timeout.Infinite);
        }
    }
}
