using System.Text;
using System.Text.Json;

namespace Grok1Cluster.Model.Store;

/// <summary>A finished file of a store that is being written.</summary>
/// <param name="File">Name, length, hash.</param>
/// <param name="BlockSha256">Of each expert block in it; empty for the other files.</param>
public sealed record StagedFile(StoreFile File, IReadOnlyList<string> BlockSha256);

/// <summary>
/// The directory in which a store is written before it is renamed to its place, and the journal of what is finished there.
/// The journal's first line names what is being written; with any other content the staging area starts empty. The journal
/// is locked until the store is in its place, so a second writer of the same store is refused.
/// </summary>
public sealed class StoreStaging : IDisposable
{
    private const string JournalName = "journal.jsonl";

    /// <summary>The longest journal that is read: Grok-1's own is about 10 MB.</summary>
    private const long MaxJournalBytes = 64L << 20;

    private readonly string _target;
    private readonly string _directory;
    private readonly FileStream _journal;
    private readonly Dictionary<string, StagedFile> _finished;

    private StoreStaging(string target, string directory, FileStream journal, Dictionary<string, StagedFile> finished) =>
        (_target, _directory, _journal, _finished) = (target, directory, journal, finished);

    /// <summary>Bytes of files that an earlier write finished.</summary>
    public long ResumedBytes => _finished.Values.Sum(file => file.File.Bytes);

    /// <summary>The full path of a store, without a slash at its end.</summary>
    public static string FullPath(string target) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));

    /// <summary>Where a store is written before it is complete.</summary>
    public static string DirectoryOf(string target) => FullPath(target) + ".importing";

    /// <exception cref="StoreExistsException">The target exists.</exception>
    public static void CheckFree(string target)
    {
        if (Path.Exists(FullPath(target)))
            throw new StoreExistsException(FullPath(target));
    }

    /// <summary>Opens, or goes on with, the write of <paramref name="target"/>.</summary>
    /// <param name="target">The store's directory, which must not exist yet.</param>
    /// <param name="identity">Everything that decides the bytes: source, formats, share.</param>
    /// <exception cref="StoreExistsException">The target exists.</exception>
    /// <exception cref="IOException">The place cannot be written, or another process writes there.</exception>
    public static StoreStaging Open(string target, string identity)
    {
        CheckFree(target);
        var directory = DirectoryOf(target);
        FileStream? journal = null;
        try
        {
            Directory.CreateDirectory(Path.Combine(directory, "experts"));
            journal = new FileStream(Path.Combine(directory, JournalName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            // Another process may have finished the same store after the first look.
            CheckFree(target);
            return Resume(FullPath(target), directory, journal, JsonSerializer.Serialize(identity));
        }
        catch (Exception e)
        {
            journal?.Dispose();
            if (e is UnauthorizedAccessException || (e is IOException and not StoreExistsException))
                throw new IOException($"{directory} cannot be written (or another import is writing it): {Printable.OneLine(e.Message)}", e);
            throw;
        }
    }

    /// <summary>A file that is finished, or null.</summary>
    public StagedFile? Find(string name)
    {
        lock (_finished)
            return _finished.GetValueOrDefault(name);
    }

    public StagedFileWriter Create(string name) => new(this, name, Path.Combine(_directory, name));

    /// <summary>
    /// Writes the manifest and puts the store in its place. The journal goes last: whatever moment a kill chooses, either
    /// the next write finds all files finished, or the store is in its place (with a journal that nobody reads any more).
    /// </summary>
    public void Complete(StoreManifest manifest)
    {
        using (var file = new FileStream(Path.Combine(_directory, StoreManifest.FileName), FileMode.Create, FileAccess.Write))
        {
            JsonSerializer.Serialize(file, manifest, StoreJson.Options);
            file.Flush(flushToDisk: true);
        }
        if (manifest.Experts.Count == 0)
            Directory.Delete(Path.Combine(_directory, "experts"));
        Directory.Move(_directory, _target);
        File.Delete(Path.Combine(_target, JournalName));
        _journal.Dispose();
    }

    /// <summary>Removes everything staged; the lock is held until <see cref="Dispose"/>.</summary>
    public void Delete() => Directory.Delete(_directory, recursive: true);

    public void Dispose() => _journal.Dispose();

    internal void Finished(StagedFile file)
    {
        lock (_finished)
        {
            _finished[file.File.File] = file;
            Append(JsonSerializer.Serialize(file, StoreJson.Options));
        }
    }

    private static StoreStaging Resume(string target, string directory, FileStream journal, string header)
    {
        var finished = Replay(directory, journal, header);
        var staging = new StoreStaging(target, directory, journal, finished);
        if (finished.Count == 0)
        {
            Empty(directory);
            staging.Append(header);
        }
        return staging;
    }

    /// <summary>Removes what a write of something else left, which would otherwise become part of this store.</summary>
    private static void Empty(string directory)
    {
        foreach (var entry in new DirectoryInfo(directory).EnumerateFileSystemInfos())
            if (entry is DirectoryInfo { LinkTarget: null } folder)
                folder.Delete(recursive: true);
            else if (entry.Name != JournalName)
                entry.Delete();
        Directory.CreateDirectory(Path.Combine(directory, "experts"));
    }

    private void Append(string line)
    {
        _journal.Write(Encoding.UTF8.GetBytes(line + "\n"));
        _journal.Flush(flushToDisk: true);
    }

    /// <summary>Reads the journal up to its first damaged line, which a kill in mid-write leaves, and cuts it there.</summary>
    private static Dictionary<string, StagedFile> Replay(string directory, FileStream journal, string header)
    {
        var finished = new Dictionary<string, StagedFile>();
        var bytes = new byte[journal.Length <= MaxJournalBytes ? journal.Length : 0];
        journal.ReadExactly(bytes);
        var valid = 0;
        for (var line = 0; bytes.AsSpan(valid).IndexOf((byte)'\n') is var length and >= 0; line++)
        {
            var content = bytes.AsSpan(valid, length);
            if (line == 0 && !content.SequenceEqual(Encoding.UTF8.GetBytes(header)))
                break;
            if (line > 0)
            {
                if (TryParse(content) is not { } file || !IsWhole(directory, file))
                    break;
                finished[file.File.File] = file;
            }
            valid += length + 1;
        }
        journal.SetLength(finished.Count == 0 ? 0 : valid);
        journal.Position = journal.Length;
        return finished;
    }

    private static StagedFile? TryParse(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonSerializer.Deserialize<StagedFile>(line, StoreJson.Options);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private static bool IsWhole(string directory, StagedFile file)
    {
        var path = Path.Combine(directory, file.File.File);
        return File.Exists(path) && new FileInfo(path).Length == file.File.Bytes;
    }
}
