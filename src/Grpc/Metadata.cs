using System.Buffers;
using System.Collections;

namespace Grok1Cluster.Grpc;

/// <summary>Key-value pairs beside the messages of a call, sent as HTTP headers or trailers. Keys may repeat; order is kept.</summary>
public sealed class Metadata : IEnumerable<MetadataEntry>
{
    /// <summary>The suffix of keys whose values are bytes.</summary>
    public const string BinarySuffix = "-bin";

    private static readonly SearchValues<char> KeyCharacters = SearchValues.Create("0123456789abcdefghijklmnopqrstuvwxyz-_.");

    private readonly List<MetadataEntry> _entries = [];

    /// <summary>The number of entries.</summary>
    public int Count => _entries.Count;

    /// <summary>Whether <paramref name="key"/> names binary values.</summary>
    public static bool IsBinary(string key) => key.EndsWith(BinarySuffix, StringComparison.Ordinal);

    /// <summary>Adds a text value.</summary>
    /// <param name="key">Digits, letters (made lower case), <c>-_.</c>; no <c>grpc-</c> prefix, which the protocol keeps for itself; no <c>-bin</c> suffix.</param>
    /// <param name="value">Printable ASCII without leading or trailing spaces, which HTTP would drop.</param>
    /// <exception cref="ArgumentException">The key or the value breaks these rules.</exception>
    public void Add(string key, string value)
    {
        key = CheckKey(key);
        if (IsBinary(key))
            throw new ArgumentException($"the value of {key} must be bytes: the suffix {BinarySuffix} says so", nameof(value));
        if (value.AsSpan().ContainsAnyExceptInRange(' ', '~') || value.AsSpan().Trim(' ').Length != value.Length)
            throw new ArgumentException($"the value of {key} must be printable ASCII without outer spaces; use a key that ends in {BinarySuffix} for anything else", nameof(value));
        _entries.Add(new MetadataEntry(key, value, null));
    }

    /// <summary>Adds a binary value.</summary>
    /// <param name="key">As for text, but with the suffix <c>-bin</c>.</param>
    /// <param name="value">Any bytes; not copied.</param>
    /// <exception cref="ArgumentException">The key breaks these rules.</exception>
    public void Add(string key, byte[] value)
    {
        key = CheckKey(key);
        if (!IsBinary(key))
            throw new ArgumentException($"the key {key} must end in {BinarySuffix} to carry bytes", nameof(key));
        _entries.Add(new MetadataEntry(key, null, value));
    }

    /// <summary>The last text value of <paramref name="key"/>, or null.</summary>
    public string? Text(string key) => Last(key)?.Text;

    /// <summary>The last binary value of <paramref name="key"/>, or null.</summary>
    public byte[]? Bytes(string key) => Last(key)?.Bytes;

    /// <inheritdoc/>
    public IEnumerator<MetadataEntry> GetEnumerator() => _entries.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Adds what a peer sent, whose text is passed on as it came.</summary>
    internal void AddReceived(MetadataEntry entry) => _entries.Add(entry);

    private MetadataEntry? Last(string key)
    {
        for (var i = _entries.Count - 1; i >= 0; i--)
            if (string.Equals(_entries[i].Key, key, StringComparison.OrdinalIgnoreCase))
                return _entries[i];
        return null;
    }

    private static string CheckKey(string key)
    {
        key = key.ToLowerInvariant();
        if (key.Length == 0 || key.AsSpan().ContainsAnyExcept(KeyCharacters))
            throw new ArgumentException($"the metadata key '{key}' must be digits, letters and -_. only", nameof(key));
        if (Wire.HeaderNames.IsReserved(key))
            throw new ArgumentException($"the metadata key '{key}' is reserved for the protocol", nameof(key));
        return key;
    }
}
