using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Grpc;
using Grok1Cluster.Protos.Expert.V1;
using Grpc.Health.V1;
using Google.Protobuf.Reflection;

namespace Grok1Cluster.Cluster.Tests.Security;

/// <summary>The table of who may call what.</summary>
public class PermissionTests
{
    private const NodeRole Everybody = NodeRole.Coordinator | NodeRole.Worker | NodeRole.Operator;

    [Theory]
    [InlineData("/grok1.expert.v1.ExpertService/Process", NodeRole.Coordinator)]
    [InlineData("/grok1.expert.v1.ExpertService/Describe", NodeRole.Coordinator | NodeRole.Operator)]
    [InlineData("/grok1.expert.v1.ExpertService/Status", NodeRole.Coordinator | NodeRole.Operator)]
    [InlineData("/grpc.health.v1.Health/Check", Everybody)]
    [InlineData("/grpc.health.v1.Health/Watch", Everybody)]
    [InlineData("/grok1.cluster.v1.WeightService/GetManifest", NodeRole.Coordinator | NodeRole.Worker)]
    [InlineData("/grok1.cluster.v1.WeightService/GetBlocks", NodeRole.Coordinator | NodeRole.Worker)]
    [InlineData("/grok1.cluster.v1.WorkerControl/Hold", NodeRole.Coordinator)]
    [InlineData("/grok1.cluster.v1.WorkerControl/Release", NodeRole.Coordinator)]
    [InlineData("/grok1.cluster.v1.WorkerControl/Leave", NodeRole.Coordinator)]
    [InlineData("/grok1.expert.v1.ExpertService/process", NodeRole.None)]
    [InlineData("/unknown/Method", NodeRole.None)]
    public void A_method_is_for_the_roles_of_the_table_and_for_nobody_else(string method, NodeRole allowed)
    {
        foreach (var role in new[] { NodeRole.Coordinator, NodeRole.Worker, NodeRole.Operator, NodeRole.Enrolment })
            Assert.Equal(allowed.HasFlag(role), Permissions.MayCall(role, method));
    }

    [Fact]
    public void Every_method_that_a_worker_serves_has_a_line_in_the_table()
    {
        FileDescriptor[] files = [ExpertReflection.Descriptor, HealthReflection.Descriptor];
        var methods = files.SelectMany(file => file.Services).SelectMany(service => service.Methods).Select(method => $"/{method.Service.FullName}/{method.Name}").ToList();
        Assert.NotEmpty(methods);
        Assert.All(methods, method => Assert.True(Permissions.MayCall(NodeRole.Coordinator, method), method));
    }

    [Fact]
    public void Who_shows_no_certificate_of_a_cluster_may_call_nothing()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var other = new CertificateRequest("CN=grok1:coordinator/front", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow, DateTimeOffset.UtcNow.AddDays(1));
        Assert.Equal(GrpcStatusCode.Unauthenticated, Permissions.Decide("/grpc.health.v1.Health/Check", null).Code);
        Assert.Equal(GrpcStatusCode.Unauthenticated, Permissions.Decide("/grpc.health.v1.Health/Check", other).Code);
    }
}
