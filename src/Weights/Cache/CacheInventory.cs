using Grok1Cluster.Model.Catalog;

namespace Grok1Cluster.Weights.Cache;

/// <summary>What the caches of this machine hold, and how it goes: the least recently used first, what a process uses never.</summary>
/// <param name="imports">Directory for imports made on the fly: <see cref="ModelPlaces.Cache"/>.</param>
/// <param name="weights">Directory of fetched weights: <see cref="WeightCacheOptions.Root"/>.</param>
public sealed class CacheInventory(string imports, string weights)
{
    private const int FingerprintDigits = 64;

    /// <summary>All models, the least recently used first.</summary>
    public IReadOnlyList<CacheEntry> List() =>
        [.. Folders(imports, ModelPlaces.ImportKeyDigits).Select(Import).Concat(Weights(weights)).OrderBy(entry => entry.LastUsed ?? DateTime.MinValue).ThenBy(entry => entry.Path, StringComparer.Ordinal)];

    /// <summary>Removes models that no process uses until the others take no more than <paramref name="keep"/> bytes.</summary>
    /// <returns>What was removed, in this order. What is left may be more, where it is in use.</returns>
    public IReadOnlyList<CacheEntry> Prune(long keep)
    {
        var entries = List();
        var left = entries.Sum(entry => entry.Bytes);
        var removed = new List<CacheEntry>();
        foreach (var entry in entries)
            if (left > keep && DirectoryUse.TryRemove(entry.Path))
            {
                left -= entry.Bytes;
                removed.Add(entry);
            }
        return removed;
    }

    /// <summary>The fetched weights of all models below a directory.</summary>
    internal static IEnumerable<CacheEntry> Weights(string root) => Folders(root, FingerprintDigits).Select(directory => new CacheEntry(
        "weights", Path.GetFileName(directory), directory, RecordedBytes(directory), DirectoryUse.LastBegun(directory), DirectoryUse.IsUsed(directory)));

    private static CacheEntry Import(string directory)
    {
        var files = new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories).ToList();
        var name = Directory.EnumerateDirectories(directory).Select(Path.GetFileName).FirstOrDefault() ?? "(empty)";
        return new CacheEntry("import", name, directory, files.Sum(file => file.Exists ? file.Length : 0), DirectoryUse.LastBegun(directory), DirectoryUse.IsUsed(directory));
    }

    private static IEnumerable<string> Folders(string root, int digits) => !Directory.Exists(root) ? [] : Directory.EnumerateDirectories(root)
        .Where(directory => Path.GetFileName(directory) is var name && name.Length == digits && name.All(char.IsAsciiHexDigitLower));

    /// <summary>Files are sparse: their lengths say nothing.</summary>
    private static long RecordedBytes(string directory) =>
        new BlockRecord(Path.Combine(directory, WeightCache.RecordName)).ReadNew().DistinctBy(block => block.Id).Sum(block => block.Bytes);
}
