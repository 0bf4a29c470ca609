namespace Grok1Cluster.Weights.Cache;

/// <summary>Says for as long as a process lives that it uses a model's cache, and when it began to.</summary>
internal sealed class CacheUse : IDisposable
{
    private const string Name = "in-use";
    private static readonly TimeSpan LockInterval = TimeSpan.FromMilliseconds(10);

    private readonly FileStream _lock;

    private CacheUse(FileStream held) => _lock = held;

    /// <summary>Makes the directory where it is not there. Waits for whoever is removing it.</summary>
    public static CacheUse Begin(string directory)
    {
        while (true)
            try
            {
                System.IO.Directory.CreateDirectory(directory);
                var path = Path.Combine(directory, Name);
                var held = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
                File.SetLastWriteTimeUtc(path, DateTime.UtcNow);
                return new CacheUse(held);
            }
            catch (IOException e) when (FileLocks.IsHeld(e) || e is DirectoryNotFoundException or FileNotFoundException)
            {
                Thread.Sleep(LockInterval);
            }
    }

    /// <summary>When a model's cache was last taken into use.</summary>
    public static DateTime LastBegun(string directory) => File.GetLastWriteTimeUtc(Path.Combine(directory, Name));

    /// <summary>Removes a cache that no process uses.</summary>
    /// <returns>Whether it is gone.</returns>
    public static bool TryRemove(string directory)
    {
        try
        {
            using var alone = new FileStream(Path.Combine(directory, Name), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            System.IO.Directory.Delete(directory, recursive: true);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    public void Dispose() => _lock.Dispose();
}
