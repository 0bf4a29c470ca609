using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;

namespace Grok1Cluster.Kernels.Cuda;

/// <summary>The CUDA C of this assembly: a file for each operation, and the headers they share.</summary>
public static class KernelSources
{
    private const string SourceExtension = ".cu";
    private const string HeaderExtension = ".cuh";

    /// <summary>Names of the files that hold kernels, ascending.</summary>
    public static ImmutableArray<string> Files { get; } = Named(SourceExtension);

    /// <summary>Names of the headers, ascending.</summary>
    public static ImmutableArray<string> Headers { get; } = Named(HeaderExtension);

    /// <summary>The text of a file.</summary>
    /// <exception cref="ArgumentException">There is no such file.</exception>
    public static string Read(string file)
    {
        using var stream = typeof(KernelSources).Assembly.GetManifestResourceStream(file) ?? throw new ArgumentException($"no kernel file {file}", nameof(file));
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }

    /// <summary>SHA-256, in hex, over a file and every header: it changes when what is compiled may change.</summary>
    public static string Hash(string file)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var name in Headers.Append(file))
        {
            hash.AppendData(Encoding.UTF8.GetBytes(name + "\0"));
            hash.AppendData(Encoding.UTF8.GetBytes(Read(name) + "\0"));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static ImmutableArray<string> Named(string extension) =>
        [.. typeof(KernelSources).Assembly.GetManifestResourceNames().Where(name => Path.GetExtension(name) == extension).Order(StringComparer.Ordinal)];
}
