using Grok1Cluster.Model;
using Grok1Cluster.Model.Catalog;

namespace Grok1Cluster.Weights.Cache;

/// <summary>Keeps the caches of all models below a limit: what was not used for longest goes first.</summary>
internal static class CacheRoom
{
    /// <param name="root">Directory of all caches.</param>
    /// <param name="own">The cache that is to grow; it is never removed.</param>
    /// <param name="wanted">Bytes that it is to have.</param>
    /// <param name="limit">For all together.</param>
    /// <exception cref="ResourceException">Not even without all others that nobody uses.</exception>
    public static void Make(string root, string own, long wanted, long limit)
    {
        var others = CacheInventory.Weights(root).Where(other => other.Path != own).OrderBy(other => other.LastUsed ?? DateTime.MinValue).ToList();
        var all = wanted + others.Sum(other => other.Bytes);
        if (wanted <= limit)
            foreach (var other in others)
                if (all > limit && DirectoryUse.TryRemove(other.Path))
                    all -= other.Bytes;
        if (all > limit)
            throw new ResourceException($"{root} would grow to {ByteSize.FormatExactly(all)}, its limit is {ByteSize.FormatExactly(limit)} (--cache-limit); other models that are in use take {ByteSize.FormatExactly(all - wanted)}");
    }
}
