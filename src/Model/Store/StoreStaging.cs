using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Grok1Cluster.Model.Store;

/// <summary>A finished file of a store that is being written.</summary>
/// <param name="File">Name, length, hash.</param>
/// <param name="BlockSha256">Of each expert block in it; empty for the dense file.</param>
public sealed record StagedFile(StoreFile File, IReadOnlyList<string> BlockSha256);

/// <summary>
/// The directory in which a store is written before it is renamed to its place, and the journal of what is finished there.
/// The journal's first line names what is being written; with any other content the staging area starts empty.
/// </summary>
public sealed class StoreStaging : IDisposable
{
    private readonly string _target;
    private readonly string _directory;
    private readonly FileStream _journal;
    private readonly Dictionary<string, StagedFile> _finished;

    private StoreStaging(string target, string directory, FileStream journal, Dictionary<string, StagedFile> finished) =>
        (_target, _directory, _journal, _finished) = (target, directory, journal, finished);

    /// <summary>Bytes of files that an earlier write finished.</summary>
    public long ResumedBytes => _finished.Values.Sum(file => file.File.Bytes);

    /// <summary>Opens, or goes on with, the write of <paramref name="target"/>.</summary>
    /// <param name="target">The store's directory, which must not exist yet.</param>
    /// <param name="identity">Everything that decides the bytes: source, formats, share.</param>
    /// <exception cref="IOException">The target exists, or another process writes it.</exception>
    public static StoreStaging Open(string target, string identity)
    {
        target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        if (Path.Exists(target))
            throw new StoreExistsException(target);
        var directory = target + ".importing";
        Directory.CreateDirectory(Path.Combine(directory, "experts"));
        FileStream journal;
        try
        {
            journal = new FileStream(Path.Combine(directory, "journal.jsonl"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new IOException($"{directory} is being written by another process: {e.Message}", e);
        }
        var header = JsonSerializer.Serialize(identity);
        var finished = Replay(directory, journal, header);
        var staging = new StoreStaging(target, directory, journal, finished);
        if (finished.Count == 0)
        {
            journal.SetLength(0);
            staging.Append(header);
        }
        return staging;
    }

    /// <summary>A file that is finished, or null.</summary>
    public StagedFile? Find(string name)
    {
        lock (_finished)
            return _finished.GetValueOrDefault(name);
    }

    public StagedFileWriter Create(string name) => new(this, name, Path.Combine(_directory, name));

    /// <summary>Writes the manifest and puts the store in its place.</summary>
    public void Complete(StoreManifest manifest)
    {
        using (var file = new FileStream(Path.Combine(_directory, StoreManifest.FileName), FileMode.Create, FileAccess.Write))
        {
            JsonSerializer.Serialize(file, manifest, StoreJson.Options);
            file.Flush(flushToDisk: true);
        }
        _journal.Dispose();
        File.Delete(Path.Combine(_directory, "journal.jsonl"));
        if (manifest.Experts.Count == 0)
            Directory.Delete(Path.Combine(_directory, "experts"));
        Directory.Move(_directory, _target);
    }

    public void Dispose() => _journal.Dispose();

    internal void Finished(StagedFile file)
    {
        lock (_finished)
        {
            _finished[file.File.File] = file;
            Append(JsonSerializer.Serialize(file, StoreJson.Options));
        }
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
        var bytes = new byte[journal.Length];
        journal.ReadExactly(bytes);
        var text = Encoding.UTF8.GetString(bytes);
        var valid = 0;
        for (var line = 0; text.IndexOf('\n', valid) is var end and >= 0; line++)
        {
            var content = text[valid..end];
            if (line == 0 && content != header)
                break;
            if (line > 0)
            {
                if (TryParse(content) is not { } file || !IsWhole(directory, file))
                    break;
                finished[file.File.File] = file;
            }
            valid = end + 1;
        }
        journal.SetLength(finished.Count == 0 ? 0 : Encoding.UTF8.GetByteCount(text.AsSpan(0, valid)));
        journal.Position = journal.Length;
        return finished;
    }

    private static StagedFile? TryParse(string line)
    {
        try
        {
            return JsonSerializer.Deserialize<StagedFile>(line, StoreJson.Options);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static bool IsWhole(string directory, StagedFile file)
    {
        var info = new FileInfo(Path.Combine(directory, file.File.File));
        return info.Exists && info.Length == file.File.Bytes;
    }
}

/// <summary>Writes one file of a staging area front to back, hashing what passes.</summary>
public sealed class StagedFileWriter : IDisposable
{
    private static readonly byte[] Zeros = new byte[4096];
    private readonly StoreStaging _staging;
    private readonly string _name;
    private readonly FileStream _stream;
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    internal StagedFileWriter(StoreStaging staging, string name, string path)
    {
        (_staging, _name) = (staging, name);
        _stream = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 16);
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        _hash.AppendData(bytes);
        _stream.Write(bytes);
    }

    /// <summary>Writes zeros up to a position at or after the present one.</summary>
    public void PadTo(long position)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(position, _stream.Position);
        while (_stream.Position < position)
            Write(Zeros.AsSpan(0, (int)Math.Min(Zeros.Length, position - _stream.Position)));
    }

    /// <summary>Brings the file to disk and enters it in the journal.</summary>
    public StagedFile Finish(IReadOnlyList<string> blockSha256)
    {
        _stream.Flush(flushToDisk: true);
        var file = new StagedFile(new StoreFile(_name, _stream.Position, Convert.ToHexStringLower(_hash.GetHashAndReset())), blockSha256);
        _stream.Dispose();
        _staging.Finished(file);
        return file;
    }

    public void Dispose()
    {
        _stream.Dispose();
        _hash.Dispose();
    }
}
