using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Grpc.Client;

namespace Grok1Cluster.Weights.Fetching;

/// <summary>Somebody who may have blocks.</summary>
internal sealed class FetchSource(string address, NodeCredentials? tls) : IDisposable
{
    public string Address { get; } = address;

    public GrpcChannel Channel { get; } = SourceChannels.Open(address, tls);

    /// <summary>Attempts that failed since the last that did not.</summary>
    public int Failures { get; set; }

    /// <summary>Why it is not asked any more; null while it is.</summary>
    public string? Dropped { get; set; }

    public void Dispose() => Channel.Dispose();
}
