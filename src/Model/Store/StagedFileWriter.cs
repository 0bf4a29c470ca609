using System.Security.Cryptography;

namespace Grok1Cluster.Model.Store;

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

    /// <summary>Bytes written so far.</summary>
    public long Position => _stream.Position;

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
        _hash.Dispose();
        _stream.Dispose();
    }
}
