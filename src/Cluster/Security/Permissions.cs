using System.Collections.Frozen;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Cluster.Security;

/// <summary>
/// Which role may call which gRPC method. What is not here nobody may call: a new method needs a line. It holds where connections
/// have certificates (<c>--tls</c>); in clear, on loopback or a Unix socket, nobody is asked who he is.
/// </summary>
public static class Permissions
{
    private const NodeRole Anybody = NodeRole.Coordinator | NodeRole.Worker | NodeRole.Operator;

    private static readonly FrozenDictionary<string, NodeRole> Allowed = new Dictionary<string, NodeRole>
    {
        ["/grpc.health.v1.Health/Check"] = Anybody,
        ["/grpc.health.v1.Health/Watch"] = Anybody,
        ["/grok1.expert.v1.ExpertService/Describe"] = NodeRole.Coordinator | NodeRole.Operator,
        ["/grok1.expert.v1.ExpertService/Status"] = NodeRole.Coordinator | NodeRole.Operator,
        ["/grok1.expert.v1.ExpertService/Process"] = NodeRole.Coordinator,
        ["/grok1.cluster.v1.WeightService/GetManifest"] = NodeRole.Coordinator | NodeRole.Worker,
        ["/grok1.cluster.v1.WeightService/GetBlocks"] = NodeRole.Coordinator | NodeRole.Worker,
        ["/grok1.cluster.v1.WorkerControl/Hold"] = NodeRole.Coordinator,
        ["/grok1.cluster.v1.WorkerControl/Release"] = NodeRole.Coordinator,
        ["/grok1.cluster.v1.WorkerControl/Leave"] = NodeRole.Coordinator,
    }.ToFrozenDictionary();

    /// <summary>Whether who shows a certificate may call a method; the reason to hand to a server's calls.</summary>
    /// <param name="method">Path, <c>/service/method</c>.</param>
    /// <param name="certificate">Checked by TLS already; null: none was shown.</param>
    public static GrpcStatus Decide(string method, X509Certificate2? certificate)
    {
        if (certificate is null || CertificateNames.Of(certificate).Identity is not { } caller)
            return new GrpcStatus(GrpcStatusCode.Unauthenticated, "a certificate of this cluster is needed");
        return MayCall(caller.Role, method) ? GrpcStatus.Ok
            : new GrpcStatus(GrpcStatusCode.PermissionDenied, $"{caller} may not call {method}");
    }

    /// <summary>Whether a role may call a method.</summary>
    public static bool MayCall(NodeRole role, string method) => Allowed.TryGetValue(method, out var roles) && (roles & role) != 0;
}
