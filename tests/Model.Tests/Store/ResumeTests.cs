using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Model.Tests.Checkpoints;

namespace Grok1Cluster.Model.Tests.Store;

public sealed class ResumeTests : IDisposable
{
    private readonly StoreFixture _stores = new();
    private readonly TemporaryCheckpoint _source = new();

    private readonly SortedDictionary<string, string> _expected;
    private readonly List<long> _steps = [];
    private readonly long _denseBytes;
    private readonly long _expertBytes;

    public ResumeTests()
    {
        Import("whole", progress => _steps.Add(progress.Done));
        _expected = StoreFixture.Contents(_stores.At("whole"));
        using var store = ModelStore.Open(_stores.At("whole"));
        (_denseBytes, _expertBytes) = (store.DenseLayout.Bytes, store.ExpertLayout.Bytes(0, store.ExpertLayout.Blocks.Count));
    }

    public void Dispose()
    {
        _stores.Dispose();
        _source.Dispose();
    }

    [Fact]
    public void An_import_stopped_anywhere_goes_on_and_ends_with_the_same_bytes()
    {
        // Every end of a file, and places within files.
        var stops = Enumerable.Range(0, _steps.Count).Where(step => step % 9 == 0 || step >= _steps.Count - 10 || IsFileEnd(_steps[step])).ToList();
        Assert.True(stops.Count > 20);
        foreach (var step in stops)
        {
            var name = $"stopped-{step}";
            if (!TryImport(name, _steps[step]))
            {
                Assert.False(Directory.Exists(_stores.At(name)));
                var resumed = Import(name).ResumedBytes;
                Assert.Equal(_steps[step] >= _denseBytes ? _denseBytes : 0, Math.Min(resumed, _denseBytes));
            }
            Assert.Equal(_expected, StoreFixture.Contents(_stores.At(name)));
        }
    }

    [Fact]
    public void An_import_stopped_again_and_again_ends()
    {
        var tries = 1;
        while (!TryImport("often", stopAfter: _denseBytes + tries * 100_000L))
            Assert.True(tries++ < 30);
        Assert.True(tries > 5);
        Assert.Equal(_expected, StoreFixture.Contents(_stores.At("often")));
    }

    [Fact]
    public void Whatever_a_kill_left_in_the_staging_area_is_finished_or_done_again()
    {
        var damages = new (string Name, Action<string> Damage)[]
        {
            ("a manifest cut short", folder => File.WriteAllText(Path.Combine(folder, "manifest.json"), "{\"version\":1,")),
            ("a journal line cut short", folder => File.AppendAllText(Path.Combine(folder, "journal.jsonl"), "{\"file\":{\"file\":\"experts/la")),
            ("noise in the journal", folder => File.AppendAllText(Path.Combine(folder, "journal.jsonl"), "\u0000\n{}\nnull\n[]\n")),
            ("a journal of bytes", folder => File.WriteAllBytes(Path.Combine(folder, "journal.jsonl"), [.. File.ReadAllBytes(Path.Combine(folder, "journal.jsonl")), 0xED, 0xA0, 0x80, 0xFF, 10])),
            ("a file name with a zero in the journal", folder => File.AppendAllText(Path.Combine(folder, "journal.jsonl"), """{"file":{"file":"\u0000","bytes":1,"sha256":""},"blockSha256":[]}""" + "\n")),
            ("an empty journal", folder => File.WriteAllText(Path.Combine(folder, "journal.jsonl"), "")),
            ("no journal", folder => File.Delete(Path.Combine(folder, "journal.jsonl"))),
            ("a finished file cut short", folder => File.WriteAllText(Path.Combine(folder, "experts/layer-00-expert-0.bin"), "x")),
            ("a finished file gone", folder => File.Delete(Path.Combine(folder, "experts/layer-00-expert-0.bin"))),
            ("no folder of experts", folder => Directory.Delete(Path.Combine(folder, "experts"), recursive: true)),
            ("a huge journal", folder => { using var file = File.OpenWrite(Path.Combine(folder, "journal.jsonl")); file.SetLength(1L << 40); }),
        };
        foreach (var (name, damage) in damages)
        {
            Assert.False(TryImport(name, _denseBytes + 500_000));
            damage(_stores.At(name) + ".importing");
            Import(name);
            Assert.Equal(_expected, StoreFixture.Contents(_stores.At(name)));
        }
    }

    [Fact]
    public void A_kill_between_the_rename_and_the_end_leaves_a_whole_store()
    {
        Import("s");
        File.WriteAllText(Path.Combine(_stores.At("s"), "journal.jsonl"), "left over");
        Assert.True(StoreFixture.Verify(_stores.At("s")).IsSound);
        Assert.Throws<StoreExistsException>(() => Import("s"));
    }

    [Fact]
    public void A_source_that_changed_starts_over_and_leaves_nothing_of_the_old()
    {
        Assert.False(TryImport("s", _denseBytes + 500_000));
        File.WriteAllText(Path.Combine(_stores.At("s.importing"), "tokenizer.model"), "of the old source");
        File.SetLastWriteTimeUtc(_source.Tensor(9), DateTime.UnixEpoch.AddDays(1));
        Assert.Equal(0, Import("s").ResumedBytes);
        Assert.Equal(_expected, StoreFixture.Contents(_stores.At("s")));
    }

    [Fact]
    public void Another_share_in_the_same_place_starts_over()
    {
        Assert.False(TryImport("s", _denseBytes + 500_000));
        using var checkpoint = Ckpt0Checkpoint.Open(_source.Path);
        _stores.Import(checkpoint, "s", new StoreBuildOptions { Slices = [new ExpertSlice(1, 1, 0, 64)] });
        Assert.Equal(["experts/layer-01-expert-1.bin", "manifest.json"], StoreFixture.Contents(_stores.At("s")).Keys);
    }

    [Fact]
    public void A_second_import_to_the_same_place_is_refused_and_does_no_harm()
    {
        IOException? refused = null;
        Import("s", progress => refused ??= Assert.Throws<IOException>(() => Import("s")));
        Assert.Contains("another import", refused!.Message);
        Assert.True(StoreFixture.Verify(_stores.At("s")).IsSound);
    }

    [Fact]
    public void What_is_there_already_is_never_touched()
    {
        File.WriteAllText(_stores.At("file"), "mine");
        Directory.CreateDirectory(_stores.At("folder"));
        foreach (var name in (string[])["file", "folder", "folder/"])
            Assert.Equal(_stores.At(name).TrimEnd('/'), Assert.Throws<StoreExistsException>(() => Import(name)).Path);
        Assert.Equal("mine", File.ReadAllText(_stores.At("file")));
        Assert.Contains("cannot be written", Assert.Throws<IOException>(() => Import("file/below")).Message);
    }

    [Fact]
    public void A_bad_value_in_the_source_is_a_model_error_that_names_it()
    {
        var bytes = File.ReadAllBytes(_source.Tensor(3));
        StoreFixture.Change(_source.Tensor(3), bytes.Length / 2, 0x80);
        Assert.Contains("is -128", Assert.Throws<ModelException>(() => Import("s")).Message);
    }

    private bool IsFileEnd(long done) => (done - _denseBytes) % _expertBytes == 0;

    private StoreBuildResult Import(string name, Action<StoreProgress>? report = null, CancellationToken cancel = default)
    {
        using var checkpoint = Ckpt0Checkpoint.Open(_source.Path);
        return StoreBuilder.Import(checkpoint, _stores.At(name), new StoreBuildOptions { Threads = 1 }, report is null ? null : new ImmediateProgress(report), cancel);
    }

    /// <summary>Whether the import was complete before the bytes written reached <paramref name="stopAfter"/>.</summary>
    private bool TryImport(string name, long stopAfter)
    {
        using var cancel = new CancellationTokenSource();
        try
        {
            Import(name, progress => { if (progress.Done >= stopAfter) cancel.Cancel(); }, cancel.Token);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
