using System.Collections.Concurrent;

namespace Grok1Cluster.Model.Catalog;

/// <summary>
/// Says for as long as a process lives that it uses a directory of a cache, and when it began to: a lock on a file in it, which ends with its
/// holder, however that ends. Who removes from the cache leaves such directories alone: a process that has mapped their files would live on
/// without them, but could not open them again.
/// </summary>
public sealed class DirectoryUse : IDisposable
{
    private const string Name = "in-use";
    private static readonly TimeSpan LockInterval = TimeSpan.FromMilliseconds(10);
    private static readonly ConcurrentDictionary<string, DirectoryUse> Kept = new(StringComparer.Ordinal);

    private readonly FileStream _lock;

    private DirectoryUse(FileStream held) => _lock = held;

    /// <summary>Begins a use that lasts as long as this process. Makes the directory where it is not there.</summary>
    /// <exception cref="IOException">The directory cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">Likewise.</exception>
    public static void Keep(string directory) => Kept.GetOrAdd(directory, Begin);

    /// <summary>Begins a use. Makes the directory where it is not there. Waits for whoever is removing it.</summary>
    /// <exception cref="IOException">The directory cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">Likewise.</exception>
    public static DirectoryUse Begin(string directory)
    {
        while (true)
        {
            Directory.CreateDirectory(directory);
            try
            {
                var path = Path.Combine(directory, Name);
                var held = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
                File.SetLastWriteTimeUtc(path, DateTime.UtcNow);
                return new DirectoryUse(held);
            }
            catch (IOException e) when (FileLocks.IsHeld(e) || e is DirectoryNotFoundException or FileNotFoundException)
            {
                // Somebody is removing it, or just has.
                Thread.Sleep(LockInterval);
            }
        }
    }

    /// <summary>When a directory was last taken into use, UTC; null where it never was.</summary>
    public static DateTime? LastBegun(string directory) => new FileInfo(Path.Combine(directory, Name)) is { Exists: true } file ? file.LastWriteTimeUtc : null;

    /// <summary>Whether a process uses the directory.</summary>
    public static bool IsUsed(string directory)
    {
        try
        {
            using var alone = new FileStream(Path.Combine(directory, Name), FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return false;
        }
        catch (IOException e)
        {
            return FileLocks.IsHeld(e);
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Removes a directory that no process uses, with all that is in it.</summary>
    /// <returns>Whether it is gone.</returns>
    public static bool TryRemove(string directory)
    {
        try
        {
            using var alone = new FileStream(Path.Combine(directory, Name), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            Directory.Delete(directory, recursive: true);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    public void Dispose() => _lock.Dispose();
}
