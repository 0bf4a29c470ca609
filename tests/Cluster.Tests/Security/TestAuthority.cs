using Grok1Cluster.Cluster.Security;

namespace Grok1Cluster.Cluster.Tests.Security;

/// <summary>A CA in a temporary directory, and nodes' directories beside it.</summary>
public sealed class TestAuthority : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-certs-").FullName;
    private readonly ClusterAuthority _authority;
    private string? _coordinator;
    private int _nodes;

    public TestAuthority()
    {
        ClusterAuthority.Create(CaDirectory, overwrite: false, new Past(TimeSpan.FromDays(30)));
        _authority = ClusterAuthority.Open(CaDirectory, TimeProvider.System);
    }

    /// <summary>The CA's directory.</summary>
    public string CaDirectory => Path.Combine(_directory, "ca");

    /// <summary>A coordinator's directory.</summary>
    public string Coordinator => _coordinator ??= Node(NodeRole.Coordinator, "front");

    /// <summary>A path that nothing is at.</summary>
    public string Free() => Path.Combine(_directory, $"node-{_nodes++}");

    /// <summary>A new node for loopback; its directory.</summary>
    public string Node(NodeRole role, string id, string host = "127.0.0.1") => Node(_authority, role, id, host);

    /// <summary>A coordinator whose certificate was good until yesterday.</summary>
    public string Expired() => Node(ClusterAuthority.Open(CaDirectory, new Past(TimeSpan.FromDays(2))), NodeRole.Coordinator, "front", "127.0.0.1");

    /// <summary>A node whose certificate was made an hour ago; its directory.</summary>
    public string Earlier(NodeRole role, string id) => Node(ClusterAuthority.Open(CaDirectory, new Past(TimeSpan.FromHours(1))), role, id, "127.0.0.1");

    /// <summary>A coordinator of another CA, which trusts this one.</summary>
    public string Foreign()
    {
        var directory = Free();
        var other = ClusterAuthority.Create(Free(), overwrite: false, TimeProvider.System);
        using var certificate = other.Issue(new NodeIdentity(NodeRole.Coordinator, "front"), ["127.0.0.1"], TimeSpan.FromDays(1));
        NodeDirectory.Write(directory, certificate, _authority.Trusted, _authority.Revoked, overwrite: false);
        return directory;
    }

    private string Node(ClusterAuthority authority, NodeRole role, string id, string host)
    {
        var directory = Free();
        using var certificate = authority.Issue(new NodeIdentity(role, id), [host], TimeSpan.FromDays(1));
        NodeDirectory.Write(directory, certificate, authority.Trusted, authority.Revoked, overwrite: false);
        return directory;
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private sealed class Past(TimeSpan ago) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UtcNow - ago;
    }
}
