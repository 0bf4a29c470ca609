namespace Grok1Cluster.Model.Catalog;

/// <summary>Where models are on this machine, apart from those that are named by their path.</summary>
/// <param name="Demo">The store of the model <c>demo</c>; null when this installation has none.</param>
/// <param name="Cache">Full path of the directory for imports made on the fly. May be deleted at any time.</param>
public sealed record ModelPlaces(string? Demo, string Cache)
{
    /// <summary>Each import has a directory of its own in the cache, whose name has so many hexadecimal digits.</summary>
    public const int ImportKeyDigits = 16;

    /// <summary>Stores larger than this are not made unasked.</summary>
    public long MaxCachedBytes { get; init; } = 2_000_000_000;

    /// <summary>Names another store for <c>demo</c>.</summary>
    public const string DemoVariable = "GROK1_DEMO_MODEL";

    /// <summary>The user's cache directory (XDG Base Directory Specification); <c>~/.cache</c> without it.</summary>
    public const string CacheVariable = "XDG_CACHE_HOME";

    /// <summary>
    /// The places of this process: the demo model is at <see cref="DemoVariable"/>, else in <c>models/demo</c> of the nearest
    /// folder above the executable that has one; the cache is <c>grok1</c> below the user's cache directory.
    /// </summary>
    public static ModelPlaces FromEnvironment() => new(
        Environment.GetEnvironmentVariable(DemoVariable) is { Length: > 0 } demo ? demo : FindDemo(AppContext.BaseDirectory),
        Path.Combine(FindUserCache(), "grok1"));

    private static string? FindDemo(string start)
    {
        for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            if (Path.Combine(folder.FullName, "models", "demo") is var demo && Directory.Exists(demo))
                return demo;
        return null;
    }

    private static string FindUserCache()
    {
        // The specification has relative paths ignored.
        if (Environment.GetEnvironmentVariable(CacheVariable) is { } cache && Path.IsPathFullyQualified(cache))
            return cache;
        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return Path.Combine(home.Length > 0 ? home : Path.GetTempPath(), ".cache");
    }
}
