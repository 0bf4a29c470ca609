namespace Grok1Cluster.Weights.Cache;

/// <summary>Where fetched weights are kept.</summary>
public sealed record WeightCacheOptions
{
    /// <summary>Directory for the caches of all models.</summary>
    public required string Root { get; init; }

    /// <summary>Most bytes that all of them together may take; null: what the disk has.</summary>
    public long? Limit { get; init; }

    /// <summary>Asked for the free bytes of the disk that a directory is on, which need not exist yet.</summary>
    public Func<string, long> AvailableBytes { get; init; } = FreeBytes;

    private static long FreeBytes(string directory)
    {
        var folder = new DirectoryInfo(Path.GetFullPath(directory));
        while (folder is { Exists: false })
            folder = folder.Parent;
        return folder is null ? long.MaxValue : new DriveInfo(folder.FullName).AvailableFreeSpace;
    }
}
