using System.Net;

namespace Grok1Cluster.Grpc;

/// <summary>Where a server listens or a client connects: a host and TCP port, or the path of a Unix socket.</summary>
public sealed record GrpcAddress
{
    private const string UnixPrefix = "unix:";

    private GrpcAddress(string host, int port, string? unixPath)
    {
        Host = host;
        Port = port;
        UnixPath = unixPath;
    }

    /// <summary>Name or IP address, without brackets; <c>localhost</c> for a Unix socket.</summary>
    public string Host { get; }

    /// <summary>TCP port; 0 lets a server choose a free one, and is 0 for a Unix socket.</summary>
    public int Port { get; }

    /// <summary>Path of the Unix socket, or null for TCP.</summary>
    public string? UnixPath { get; }

    /// <summary>Reads <c>host:port</c>, <c>http://host:port</c>, <c>https://host:port</c> or <c>unix:/path</c>. Whether TLS is used is said by options, not here.</summary>
    /// <exception cref="FormatException">The text is none of these.</exception>
    public static GrpcAddress Parse(string text)
    {
        if (text.StartsWith(UnixPrefix, StringComparison.Ordinal))
        {
            var path = text[UnixPrefix.Length..];
            return Path.IsPathRooted(path) ? Unix(path) : throw new FormatException($"'{text}': the path of a Unix socket must start with /");
        }
        var uri = text.Contains("://", StringComparison.Ordinal) ? text : "http://" + text;
        if (!Uri.TryCreate(uri, UriKind.Absolute, out var parsed) || parsed.Scheme is not ("http" or "https") || parsed.Host.Length == 0
            || parsed.AbsolutePath != "/" || !HasPort(uri))
            throw new FormatException($"'{text}' is no address: write host:port, http://host:port or unix:/path");
        return Tcp(parsed.DnsSafeHost, parsed.Port);
    }

    /// <summary>A TCP address.</summary>
    public static GrpcAddress Tcp(string host, int port) => new(host, port, null);

    /// <summary>A Unix socket.</summary>
    /// <param name="path">Absolute path.</param>
    public static GrpcAddress Unix(string path) => new("localhost", 0, path);

    /// <summary>The form that <see cref="Parse"/> reads: <c>host:port</c> or <c>unix:/path</c>.</summary>
    public override string ToString() => UnixPath is not null ? UnixPrefix + UnixPath : $"{UriHost}:{Port}";

    /// <summary>The host as it stands in a URI: IPv6 in brackets.</summary>
    internal string UriHost => IPAddress.TryParse(Host, out var ip) && ip.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{Host}]" : Host;

    /// <summary>Uri fills in port 80 or 443 where none was written; a gRPC address without a port is a mistake.</summary>
    private static bool HasPort(string uri) => uri.TrimEnd('/') is var text && text.LastIndexOf(':') is var colon
        && int.TryParse(text.AsSpan(colon + 1), out var port) && port is >= 0 and <= ushort.MaxValue;
}
