using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Grpc.Client;

namespace Grok1Cluster.Weights.Fetching;

/// <summary>The one place where connections to sources of weights are made.</summary>
internal static class SourceChannels
{
    /// <summary>What a source may send ahead of us: little, or a limit on the bytes a second would not hold it back.</summary>
    private const int WindowBytes = 2 << 20;

    private static readonly TimeSpan PingDelay = TimeSpan.FromSeconds(5);

    /// <param name="address">As <see cref="Grpc.GrpcAddress.Parse"/> reads it.</param>
    /// <param name="tls">What to show, and whom to trust; null in clear.</param>
    public static GrpcChannel Open(string address, NodeCredentials? tls)
    {
        var check = new PeerCheck(NodeRole.Coordinator | NodeRole.Worker);
        return new GrpcChannel(address, new GrpcChannelOptions
        {
            StreamWindowBytes = WindowBytes,
            KeepAlivePingDelay = PingDelay,
            Tls = tls is null ? null : () => tls.Client(check),
        });
    }
}
