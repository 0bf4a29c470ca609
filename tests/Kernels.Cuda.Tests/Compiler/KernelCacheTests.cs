using Grok1Cluster.Kernels.Cuda.Compiler;

namespace Grok1Cluster.Kernels.Cuda.Tests.Compiler;

public sealed class KernelCacheTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-kernel-cache-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void What_was_stored_is_found_by_its_key_and_by_no_other()
    {
        var cache = new KernelCache(Path.Combine(_folder.FullName, "not", "there", "yet"));
        Assert.Null(cache.Find("sm80-a"));
        cache.Store("sm80-a", [1, 2, 3]);
        cache.Store("sm90-a", [4]);
        Assert.Equal([1, 2, 3], cache.Find("sm80-a"));
        Assert.Equal([4], new KernelCache(Path.Combine(_folder.FullName, "not", "there", "yet")).Find("sm90-a"));
        Assert.Null(cache.Find("sm80-b"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(-1)]
    public void An_entry_that_was_altered_or_cut_is_not_used_and_can_be_stored_again(int position)
    {
        var cache = new KernelCache(_folder.FullName);
        cache.Store("k", [.. Enumerable.Range(0, 100).Select(i => (byte)i)]);
        var file = _folder.GetFiles().Single().FullName;
        var bytes = File.ReadAllBytes(file);
        if (position < 0)
            bytes = bytes[..^1];
        else
            bytes[position] ^= 1;
        File.WriteAllBytes(file, bytes);
        Assert.Null(cache.Find("k"));
        cache.Store("k", [7]);
        Assert.Equal([7], cache.Find("k"));
    }

    [Fact]
    public void A_place_that_cannot_be_written_keeps_nothing_and_disturbs_nobody()
    {
        var file = Path.Combine(_folder.FullName, "file");
        File.WriteAllText(file, "");
        var cache = new KernelCache(Path.Combine(file, "below"));
        cache.Store("k", [1]);
        Assert.Null(cache.Find("k"));
    }

    [Fact]
    public void The_key_of_a_kernel_changes_with_the_file()
    {
        var hashes = KernelSources.Files.Select(KernelSources.Hash).ToList();
        Assert.Equal(hashes.Count, hashes.Distinct().Count());
        Assert.All(hashes, hash => Assert.Equal(64, hash.Length));
        Assert.Throws<ArgumentException>(() => KernelSources.Read("nothing.cu"));
    }
}
