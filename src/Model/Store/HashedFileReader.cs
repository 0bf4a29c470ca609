using System.Security.Cryptography;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// Reads one file of a store front to back, hashing what passes. It reads rather than maps: on a failing disk, or in a file
/// that is being cut, a read is an error that can be reported, a mapping kills the process.
/// </summary>
internal sealed class HashedFileReader : IDisposable
{
    private readonly FileStream _stream;
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly Action<long> _report;

    /// <param name="path">The file.</param>
    /// <param name="report">Is told the bytes of every read.</param>
    public HashedFileReader(string path, Action<long> report)
    {
        _report = report;
        _stream = new FileStream(path, new FileStreamOptions { BufferSize = 0, Options = FileOptions.SequentialScan });
    }

    /// <exception cref="IOException">The file ends before the target is full, or cannot be read.</exception>
    public void Read(Span<byte> target)
    {
        _stream.ReadExactly(target);
        _hash.AppendData(target);
        _report(target.Length);
    }

    /// <summary>Reads up to a position at or after the present one.</summary>
    public void SkipTo(long position)
    {
        Span<byte> gap = stackalloc byte[4096];
        while (_stream.Position < position)
            Read(gap[..(int)Math.Min(gap.Length, position - _stream.Position)]);
    }

    /// <summary>SHA-256 of everything read, lower-case hexadecimal.</summary>
    public string Finish() => Convert.ToHexStringLower(_hash.GetHashAndReset());

    public void Dispose()
    {
        _hash.Dispose();
        _stream.Dispose();
    }
}
