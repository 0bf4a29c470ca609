namespace Grok1Cluster.Grpc.Wire;

/// <summary>Metadata as headers: text as it is, bytes in base64.</summary>
internal static class MetadataEncoding
{
    /// <summary>Appends every entry of <paramref name="metadata"/> to <paramref name="headers"/>.</summary>
    public static void Append(Metadata metadata, HeaderList headers)
    {
        foreach (var entry in metadata)
            headers.Add(entry.Key, entry.Text ?? Convert.ToBase64String(entry.Bytes!).TrimEnd('='));
    }

    /// <summary>What an application may see of <paramref name="headers"/>.</summary>
    /// <exception cref="RpcException">A binary value is not base64.</exception>
    public static Metadata Read(HeaderList headers)
    {
        var metadata = new Metadata();
        foreach (var (name, value) in headers)
        {
            if (HeaderNames.IsReserved(name))
                continue;
            if (!Metadata.IsBinary(name))
                metadata.AddReceived(new MetadataEntry(name, value, null));
            else
                // HTTP may join the values of a repeated header by commas, which base64 does not use.
                foreach (var part in value.Split(','))
                    metadata.AddReceived(new MetadataEntry(name, null, FromBase64(name, part.Trim())));
        }
        return metadata;
    }

    /// <summary>Peers send base64 with or without its padding.</summary>
    private static byte[] FromBase64(string name, string text)
    {
        var trimmed = text.TrimEnd('=');
        var bytes = new byte[trimmed.Length * 3 / 4];
        if (Convert.TryFromBase64String(trimmed.PadRight((trimmed.Length + 3) / 4 * 4, '='), bytes, out var written) && written == bytes.Length)
            return bytes;
        throw new RpcException(GrpcStatusCode.Internal, $"the header {name} is not base64");
    }
}
