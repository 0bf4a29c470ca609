using System.Collections.Frozen;

namespace Grok1Cluster.Grpc.Http2.Hpack;

/// <summary>The headers that both sides know from the start (RFC 7541, appendix A).</summary>
internal static class StaticTable
{
    /// <summary>Entries; their indices run from 1.</summary>
    public const int Count = 61;

    private static readonly (string Name, string Value)[] Entries =
    [
        (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"), (":scheme", "http"),
        (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
        (":status", "404"), (":status", "500"), ("accept-charset", ""), ("accept-encoding", "gzip, deflate"), ("accept-language", ""),
        ("accept-ranges", ""), ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
        ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
        ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""),
        ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
        ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""),
        ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
        ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
    ];

    private static readonly FrozenDictionary<(string, string), int> Whole =
        Entries.Select((entry, i) => (entry, i)).ToFrozenDictionary(pair => pair.entry, pair => pair.i + 1);

    private static readonly FrozenDictionary<string, int> Names =
        Entries.Select((entry, i) => (entry.Name, i)).DistinctBy(pair => pair.Name).ToFrozenDictionary(pair => pair.Name, pair => pair.i + 1);

    /// <summary>The entry at <paramref name="index"/>, from 1 to <see cref="Count"/>.</summary>
    public static (string Name, string Value) At(int index) => Entries[index - 1];

    /// <summary>The index of a whole header, or 0.</summary>
    public static int IndexOf(string name, string value) => Whole.GetValueOrDefault((name, value));

    /// <summary>The index of an entry with this name, or 0.</summary>
    public static int IndexOf(string name) => Names.GetValueOrDefault(name);
}
