namespace Grok1Cluster.Model.Store;

/// <summary>Whether a store fits on the disk it is to be written to.</summary>
internal static class StoreSpace
{
    /// <exception cref="ResourceException">It does not.</exception>
    public static void Check(string target, long bytes)
    {
        var folder = new DirectoryInfo(Path.GetFullPath(target)).Parent;
        while (folder is { Exists: false })
            folder = folder.Parent;
        if (folder is null)
            return;
        var staging = new DirectoryInfo(StoreStaging.DirectoryOf(target));
        var present = staging.Exists ? staging.EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length) : 0;
        var available = new DriveInfo(folder.FullName).AvailableFreeSpace + present;
        if (available < bytes)
            throw new ResourceException($"{target} needs {ByteSize.FormatExactly(bytes)} of disk, {ByteSize.FormatExactly(available)} are available there");
    }
}
