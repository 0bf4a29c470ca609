using System.Net;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Cluster.Security;

/// <summary>Where a port in clear may be open: what never leaves the machine needs no certificate.</summary>
public static class Exposure
{
    /// <summary>Whether only this machine reaches the address: loopback, or a Unix socket.</summary>
    public static bool IsLocal(GrpcAddress address) =>
        address.UnixPath is not null || address.Host == "localhost" || (IPAddress.TryParse(address.Host, out var ip) && IPAddress.IsLoopback(ip));
}
