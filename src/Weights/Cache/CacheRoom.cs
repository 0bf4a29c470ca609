using Grok1Cluster.Model;

namespace Grok1Cluster.Weights.Cache;

/// <summary>Keeps the caches of all models below a limit: what was not used for longest goes first.</summary>
internal static class CacheRoom
{
    private const int FingerprintDigits = 64;

    /// <param name="root">Directory of all caches.</param>
    /// <param name="own">The cache that is to grow; it is never removed.</param>
    /// <param name="wanted">Bytes that it is to have.</param>
    /// <param name="limit">For all together.</param>
    /// <exception cref="ResourceException">Not even without all others that nobody uses.</exception>
    public static void Make(string root, string own, long wanted, long limit)
    {
        var others = Directory.EnumerateDirectories(root)
            .Where(directory => directory != own && Path.GetFileName(directory) is { Length: FingerprintDigits } name && name.All(char.IsAsciiHexDigitLower))
            .Select(directory => (Directory: directory, Bytes: RecordedBytes(directory))).OrderBy(other => CacheUse.LastBegun(other.Directory)).ToList();
        var all = wanted + others.Sum(other => other.Bytes);
        if (wanted <= limit)
            foreach (var (directory, bytes) in others)
                if (all > limit && CacheUse.TryRemove(directory))
                    all -= bytes;
        if (all > limit)
            throw new ResourceException($"{root} would grow to {all} bytes, its limit is {limit} (--cache-limit); other models that are in use take {all - wanted}");
    }

    private static long RecordedBytes(string directory) =>
        new BlockRecord(Path.Combine(directory, WeightCache.RecordName)).ReadNew().DistinctBy(block => block.Id).Sum(block => block.Bytes);
}
