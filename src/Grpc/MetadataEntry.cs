namespace Grok1Cluster.Grpc;

/// <summary>One key of a call's metadata with its value: text, or bytes where the key ends in <c>-bin</c>.</summary>
public readonly record struct MetadataEntry
{
    internal MetadataEntry(string key, string? text, byte[]? bytes)
    {
        Key = key;
        Text = text;
        Bytes = bytes;
    }

    /// <summary>Lower-case name.</summary>
    public string Key { get; }

    /// <summary>The value of a text entry, null for a binary one.</summary>
    public string? Text { get; }

    /// <summary>The value of a binary entry, null for a text one.</summary>
    public byte[]? Bytes { get; }
}
