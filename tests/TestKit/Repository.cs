namespace Grok1Cluster.TestKit;

/// <summary>Where things are when a test runs: the checkout, and the optional reference data beside it.</summary>
public static class Repository
{
    /// <summary>The checkout that holds the running test assembly.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>Small checkpoints with reference results, tracked with the project.</summary>
    public static string TestData => Path.Combine(Root, "tests", "data");

    /// <summary>Reference data beside the checkout; absent in a bare clone.</summary>
    public static string Shared => Path.GetFullPath(Path.Combine(Root, "..", "shared"));

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "Grok1Cluster.sln")))
                return folder.FullName;
        throw new InvalidOperationException($"no Grok1Cluster.sln above {AppContext.BaseDirectory}");
    }
}
