using System.Security.Cryptography;

namespace Grok1Cluster.Kernels.Cuda.Compiler;

/// <summary>
/// Machine code of kernels in files named by what it was made from. A file is written aside and renamed, so that several
/// processes may share the folder; it ends with the SHA-256 of what is before, and a file that does not is made again. Where
/// the folder cannot be written nothing is kept.
/// </summary>
/// <param name="directory">Created when the first entry is written.</param>
internal sealed class KernelCache(string directory)
{
    private const string Extension = ".kernels";

    /// <summary>The entry, or null.</summary>
    public byte[]? Find(string key)
    {
        try
        {
            var file = File.ReadAllBytes(PathOf(key));
            var length = file.Length - SHA256.HashSizeInBytes;
            return length > 0 && SHA256.HashData(file.AsSpan(0, length)).AsSpan().SequenceEqual(file.AsSpan(length)) ? file[..length] : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public void Store(string key, byte[] image)
    {
        try
        {
            Directory.CreateDirectory(directory);
            var temporary = Path.Combine(directory, $"{Guid.NewGuid():n}.tmp");
            using (var stream = File.Create(temporary))
            {
                stream.Write(image);
                stream.Write(SHA256.HashData(image));
            }
            File.Move(temporary, PathOf(key), overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next process compiles again, which is all that a cache is for.
        }
    }

    private string PathOf(string key) => Path.Combine(directory, key + Extension);
}
