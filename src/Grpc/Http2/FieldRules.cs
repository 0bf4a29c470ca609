using System.Buffers;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>What a header may look like (RFC 9113, sections 8.2 and 8.3).</summary>
internal static class FieldRules
{
    private static readonly SearchValues<char> NameCharacters = SearchValues.Create("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz");
    private static readonly SearchValues<char> NeverInValues = SearchValues.Create("\0\r\n");

    /// <summary>Checks a header that is no pseudo-header.</summary>
    /// <exception cref="StreamFaultException">It is malformed, or belongs to HTTP/1.</exception>
    public static void Check(int streamId, string name, string value)
    {
        if (name.Length == 0 || name.AsSpan().ContainsAnyExcept(NameCharacters))
            throw Malformed(streamId, "a header's name is malformed");
        if (value.AsSpan().ContainsAny(NeverInValues))
            throw Malformed(streamId, $"the value of {name} is malformed");
        if (name is "connection" or "proxy-connection" or "keep-alive" or "transfer-encoding" or "upgrade" || (name == "te" && value != "trailers"))
            throw Malformed(streamId, $"the header {name} belongs to HTTP/1");
    }

    public static StreamFaultException Malformed(int streamId, string what) => new(streamId, ErrorCode.ProtocolError, what);
}
