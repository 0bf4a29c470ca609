using System.Diagnostics;
using System.Security.Authentication;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Grpc;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Security;

/// <summary>Coordinators and workers that know each other by their certificates.</summary>
public sealed class LinkTests(ModelFixture models) : IClassFixture<ModelFixture>, IDisposable
{
    private readonly TestAuthority _authority = new();

    [Fact]
    public async Task A_run_over_mutual_tls_gives_the_reference_tokens_and_one_in_clear_gets_nothing()
    {
        using var worker = StartWorker(_authority.Node(NodeRole.Worker, "worker-0"));
        var address = await SecureWorker.AddressOfAsync(worker);
        string[] run = ["run", "--model", models.Golden("tiny-b"), "--tokens", "5,17", "--max-tokens", "4", "--temperature", "0", "--ignore-eos"];
        var alone = await Grok1Process.RunAsync([.. run, "--workers", "0"]);
        var secure = await Grok1Process.RunAsync([.. run, "--worker-address", address, "--tls", _authority.Coordinator]);
        Assert.Equal((0, alone.Output), (secure.ExitCode, secure.Output));
        var clear = await Grok1Process.RunAsync([.. run, "--worker-address", address]);
        Assert.Equal(5, clear.ExitCode);
        Assert.Contains("one that was started with --tls wants it here too", clear.Error);
        var start = new ProcessStartInfo(Grok1Process.ExecutablePath, [.. run, "--worker-address", address, "--json"]);
        start.Environment["GROK1__SECURITY__TLS"] = _authority.Foreign();
        Assert.Equal(5, (await Grok1Process.RunAsync(start)).ExitCode);
    }

    [Fact]
    public async Task Workers_that_a_coordinator_starts_here_stay_in_clear_whatever_the_environment_says_of_certificates()
    {
        var start = new ProcessStartInfo(Grok1Process.ExecutablePath, ["run", "--model", models.Golden("tiny-b"), "--tokens", "5", "--max-tokens", "1", "--ignore-eos", "--workers", "2"]);
        start.Environment["GROK1__SECURITY__TLS"] = _authority.Coordinator;
        Assert.Equal(0, (await Grok1Process.RunAsync(start)).ExitCode);
    }

    [Fact]
    public async Task Files_that_are_exchanged_are_used_by_new_connections_of_a_running_worker()
    {
        var node = _authority.Node(NodeRole.Worker, "worker-0");
        using var worker = StartWorker(node);
        var address = await SecureWorker.AddressOfAsync(worker);
        var authority = ClusterAuthority.Open(_authority.CaDirectory, TimeProvider.System);
        using var old = SecureWorker.Channel(address, _authority.Coordinator, new PeerCheck(NodeRole.Worker));
        await SecureWorker.DescribeAsync(old);

        // Through a whole change of the CA, in its order; at every step a coordinator with the old bundle and one with the new are served or refused as they should.
        authority.BeginChange();
        var both = _authority.Free();
        Reissue(authority, node);
        Issue(authority, NodeRole.Coordinator, "front", both);
        authority.SwitchToNext();
        Reissue(authority, node);
        await ConnectsAsync(address, both);
        await worker.WaitForErrorLineAsync(line => line.Contains("new certificate of worker worker-0"));
        Assert.Contains("of another CA", await RefusalAsync(address, _authority.Coordinator));
        authority.FinishChange();
        Reissue(authority, node);
        await Assert.ThrowsAsync<RpcException>(() => ConnectsAsync(address, both));
        var after = _authority.Free();
        Issue(authority, NodeRole.Coordinator, "front", after);
        await ConnectsAsync(address, after);
        // Who was connected stays so.
        Assert.Equal("worker-0", (await SecureWorker.DescribeAsync(old)).WorkerId);
    }

    [Fact]
    public async Task A_revoked_node_is_refused_by_running_processes_until_it_has_a_new_certificate()
    {
        var node = _authority.Earlier(NodeRole.Worker, "worker-0");
        var (stolen, other) = (_authority.Earlier(NodeRole.Coordinator, "front"), _authority.Earlier(NodeRole.Coordinator, "back"));
        using var worker = StartWorker(node);
        var address = await SecureWorker.AddressOfAsync(worker);
        await ConnectsAsync(address, stolen);
        var authority = ClusterAuthority.Open(_authority.CaDirectory, TimeProvider.System);
        authority.Revoke(new NodeIdentity(NodeRole.Coordinator, "front"));
        NodeDirectory.WriteTrust(node, authority.Trusted, authority.Revoked);
        await Assert.ThrowsAsync<RpcException>(() => ConnectsAsync(address, stolen));
        await ConnectsAsync(address, other);
        Issue(authority, NodeRole.Coordinator, "front", stolen);
        await ConnectsAsync(address, stolen);

        // The other way round: a coordinator refuses a worker.
        authority.Revoke(new NodeIdentity(NodeRole.Worker, "worker-0"));
        NodeDirectory.WriteTrust(other, authority.Trusted, authority.Revoked);
        Assert.Contains("worker worker-0, and was revoked", await RefusalAsync(address, other));
        Reissue(authority, node);
        await ConnectsAsync(address, other);
    }

    [Fact]
    public async Task Files_that_cannot_be_used_leave_the_old_certificate_in_use()
    {
        var node = _authority.Node(NodeRole.Worker, "worker-0");
        using var worker = StartWorker(node);
        var address = await SecureWorker.AddressOfAsync(worker);
        await File.WriteAllTextAsync(Path.Combine(node, NodeDirectory.KeyPairName), "no certificate");
        await ConnectsAsync(address, _authority.Coordinator);
        await worker.WaitForErrorLineAsync(line => line.Contains("the old ones stay in use"));
    }

    [Theory]
    [InlineData(NodeRole.Coordinator, "worker-0", "127.0.0.1", null, "is that of coordinator worker-0, not of a worker")]
    [InlineData(NodeRole.Worker, "worker-9", "127.0.0.1", "worker-0", "is that of worker worker-9, not of worker-0")]
    [InlineData(NodeRole.Worker, "worker-0", "10.9.9.9", null, "is for the hosts 10.9.9.9, not for this address")]
    public async Task A_coordinator_refuses_a_worker_that_is_not_who_it_should_be(NodeRole role, string id, string host, string? expected, string reason)
    {
        var server = NodeCredentials.Open(_authority.Node(role, id, host: host), _ => { });
        await using var grpc = await Grpc.Server.GrpcServer.StartAsync(
            new Grpc.Server.GrpcServices(), new Grpc.Server.GrpcServerOptions { Listen = ["127.0.0.1:0"], Tls = server.Server }, CancellationToken.None);
        var front = NodeCredentials.Open(_authority.Coordinator, _ => { });
        var refused = await Assert.ThrowsAsync<AuthenticationException>(() => WorkerConnection.ConnectAsync(grpc.Addresses[0].ToString(), front, expected, CancellationToken.None));
        Assert.Contains(reason, refused.Message);
    }

    [Fact]
    public async Task A_worker_listens_for_other_machines_with_a_certificate_or_where_it_is_told_to_be_insecure()
    {
        var model = models.Golden("tiny-b");
        var refused = await Grok1Process.RunAsync("worker", "--model", model, "--listen", "0.0.0.0:0");
        Assert.Equal(2, refused.ExitCode);
        Assert.Matches("^grok1: --listen: 0.0.0.0:0 is open to other machines: give --tls DIR .*--insecure\n$", refused.Error);
        using var insecure = Grok1Process.Start("worker", "--model", model, "--listen", "0.0.0.0:0", "--insecure");
        await SecureWorker.AddressOfAsync(insecure);
        Assert.Contains("INSECURE: 0.0.0.0:0 takes calls in clear", insecure.Error);
    }

    [Fact]
    public async Task A_worker_does_not_start_with_the_certificate_of_another_id_or_role()
    {
        var model = models.Golden("tiny-b");
        var id = await Grok1Process.RunAsync("worker", "--model", model, "--id", "worker-1", "--tls", _authority.Node(NodeRole.Worker, "worker-0"));
        Assert.Equal(2, id.ExitCode);
        Assert.Contains("worker worker-0, and this is worker worker-1", id.Error);
        var role = await Grok1Process.RunAsync("worker", "--model", model, "--id", "front", "--tls", _authority.Coordinator);
        Assert.Equal(2, role.ExitCode);
        Assert.Contains("a worker's is needed", role.Error);
    }

    public void Dispose() => _authority.Dispose();

    private Grok1Process StartWorker(string tls) =>
        Grok1Process.Start("worker", "--model", models.Golden("tiny-b"), "--id", "worker-0", "--listen", "127.0.0.1:0", "--tls", tls, "--threads", "1");

    private static async Task ConnectsAsync(string address, string node)
    {
        using var channel = SecureWorker.Channel(address, node, new PeerCheck(NodeRole.Worker, "worker-0"));
        Assert.Equal("worker-0", (await SecureWorker.DescribeAsync(channel)).WorkerId);
    }

    private static async Task<string> RefusalAsync(string address, string node)
    {
        var check = new PeerCheck(NodeRole.Worker);
        using var channel = SecureWorker.Channel(address, node, check);
        await Assert.ThrowsAsync<RpcException>(() => SecureWorker.DescribeAsync(channel));
        return check.Refusal ?? "";
    }

    private static void Reissue(ClusterAuthority authority, string node) => Issue(authority, NodeRole.Worker, "worker-0", node);

    private static void Issue(ClusterAuthority authority, NodeRole role, string id, string node)
    {
        using var certificate = authority.Issue(new NodeIdentity(role, id), ["127.0.0.1"], TimeSpan.FromDays(1));
        NodeDirectory.Write(node, certificate, authority.Trusted, authority.Revoked, overwrite: true);
    }
}
