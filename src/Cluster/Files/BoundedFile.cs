namespace Grok1Cluster.Cluster.Files;

/// <summary>Reads small files that may be anything.</summary>
internal static class BoundedFile
{
    private const int Chunk = 16 << 10;

    /// <summary>The bytes of a file, or of a pipe or device, which do not tell a length: memory follows what has come.</summary>
    /// <param name="path">Of the file.</param>
    /// <param name="maxBytes">More is refused.</param>
    /// <param name="reader">Ends the sentence "which no ... needs".</param>
    /// <exception cref="IOException">It is larger, or cannot be read.</exception>
    public static byte[] Read(string path, int maxBytes, string reader)
    {
        using var file = File.OpenRead(path);
        using var bytes = new MemoryStream();
        var chunk = new byte[Chunk];
        for (int read; (read = file.Read(chunk)) > 0;)
        {
            bytes.Write(chunk, 0, read);
            if (bytes.Length > maxBytes)
                throw new IOException($"it is larger than {maxBytes} bytes, which no {reader} needs");
        }
        return bytes.ToArray();
    }
}
