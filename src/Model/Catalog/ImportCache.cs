using System.Security.Cryptography;
using System.Text;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Catalog;

/// <summary>
/// Stores imported on the fly: <c>CACHE/KEY/NAME</c>, where KEY is a hash of the source's full path and of the size and
/// time of each of its files, and NAME the name of its directory, which is the model's id.
/// </summary>
internal sealed class ImportCache(ModelPlaces places, Action<string> note, IProgress<StoreProgress>? progress)
{
    private static readonly TimeSpan LockInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>The store of a source, imported first where it is not there. This process is known to use it from now on.</summary>
    /// <param name="source">Full path of a directory with a checkpoint.</param>
    /// <inheritdoc cref="ModelCatalog.FindStore"/>
    public string Import(string source, CancellationToken cancel)
    {
        using var checkpoint = Ckpt0Checkpoint.Open(source);
        var target = Path.Combine(places.Cache, Key(source, checkpoint), Name(source));
        if (!ModelStore.IsStore(target))
            CheckSize(source);
        try
        {
            DirectoryUse.Keep(Path.GetDirectoryName(target)!);
            if (ModelStore.IsStore(target))
                return target;
            using (Lock(target, cancel))
                if (!ModelStore.IsStore(target))
                {
                    note($"importing {source} to {target} (once)");
                    StoreBuilder.Import(checkpoint, target, new StoreBuildOptions(), progress, cancel);
                }
            return target;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A cache that may only be read is as good as any, once the store is there.
            if (ModelStore.IsStore(target))
                return target;
            throw new IOException($"the model cannot be imported to the cache: {e.Message}; set {ModelPlaces.CacheVariable} to another place, or type: {CommandLine(source)}", e);
        }
    }

    private void CheckSize(string source)
    {
        var inspection = StoreInspection.Of(source);
        var bytes = inspection.DenseBytes + inspection.ExpertBytes;
        if (bytes > places.MaxCachedBytes)
            throw new ModelException($"{source}: as a model store this takes {ByteSize.Format(bytes)}, too much for the cache; import it once, then use the store as the model: {CommandLine(source)}");
    }

    private static string Key(string source, ICheckpoint checkpoint)
    {
        var identity = new StringBuilder(source);
        foreach (var file in checkpoint.Files.Select(path => new FileInfo(path)))
            identity.Append('\n').Append(file.FullName).Append(' ').Append(file.Length).Append(' ').Append(file.LastWriteTimeUtc.Ticks);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(identity.ToString())))[..ModelPlaces.ImportKeyDigits];
    }

    /// <summary>The directory's name; of <c>grok-1/ckpt-0</c> it is <c>grok-1</c>.</summary>
    private static string Name(string source)
    {
        var inside = Directory.Exists(Path.Combine(source, "ckpt-0"));
        var name = Path.GetFileName(inside ? source : Path.GetDirectoryName(source));
        return string.IsNullOrEmpty(name) ? "model" : name;
    }

    private static string CommandLine(string source) => $"grok1 import {Quote(source)} {Quote($"{Name(source)}-store")}";

    /// <summary>As a POSIX shell wants it.</summary>
    private static string Quote(string argument) =>
        argument.All(c => char.IsAsciiLetterOrDigit(c) || "/._-+=:,@%".Contains(c)) ? argument : $"'{argument.Replace("'", "'\\''")}'";

    /// <summary>One process at a time imports a source; the others wait here and then find the store. Ends with its holder, however that ends.</summary>
    private FileStream Lock(string target, CancellationToken cancel)
    {
        var folder = Path.GetDirectoryName(target)!;
        Directory.CreateDirectory(folder);
        for (var waiting = false; ; waiting = true)
        {
            try
            {
                return new FileStream(Path.Combine(folder, "import.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException e) when (FileLocks.IsHeld(e))
            {
                if (!waiting)
                    note($"another process imports to {target}; waiting for it");
                cancel.WaitHandle.WaitOne(LockInterval);
                cancel.ThrowIfCancellationRequested();
            }
        }
    }
}
