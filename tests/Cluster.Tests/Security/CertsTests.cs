using System.Diagnostics;
using System.Text.Json;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Security.Enrolment;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Security;

/// <summary>The verbs that make certificates, and machines that fetch theirs.</summary>
public sealed class CertsTests : IDisposable
{
    private readonly TestAuthority _authority = new();

    [Fact]
    public async Task A_rack_has_its_certificates_in_a_few_commands_and_nothing_is_overwritten()
    {
        var (ca, node) = (_authority.Free(), _authority.Free());
        Assert.Equal(0, (await Grok1Process.RunAsync("certs", "init", ca)).ExitCode);
        var issued = await Grok1Process.RunAsync("certs", "issue", "worker", "worker-3", "--dir", ca, "--out", node, "--host", "node3,10.0.0.3", "--json");
        Assert.Equal(0, issued.ExitCode);
        var report = JsonDocument.Parse(issued.Output).RootElement;
        Assert.Equal(("worker", "worker-3"), (report.GetProperty("role").GetString(), report.GetProperty("id").GetString()));
        Assert.Equal(["node3", "10.0.0.3"], report.GetProperty("hosts").EnumerateArray().Select(host => host.GetString()));
        if (!OperatingSystem.IsWindows())
        {
            foreach (var key in new[] { Path.Combine(ca, "ca.pem"), Path.Combine(node, "node.pem") })
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(key));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(node));
        }

        var before = await File.ReadAllTextAsync(Path.Combine(node, "node.pem"));
        var again = await Grok1Process.RunAsync("certs", "issue", "coordinator", "front", "--dir", ca, "--out", node);
        Assert.Equal(2, again.ExitCode);
        Assert.Contains("--force", again.Error);
        Assert.Equal(2, (await Grok1Process.RunAsync("certs", "init", ca)).ExitCode);
        Assert.Equal(before, await File.ReadAllTextAsync(Path.Combine(node, "node.pem")));
    }

    [Fact]
    public async Task Rotating_a_node_gives_it_a_new_key_for_the_same_identity_and_the_bundle_of_now()
    {
        var node = _authority.Node(NodeRole.Worker, "worker-3");
        string[] before = [await File.ReadAllTextAsync(Path.Combine(node, "node.pem")), await File.ReadAllTextAsync(Path.Combine(node, "bundle.pem"))];
        Assert.Equal(2, (await Grok1Process.RunAsync("certs", "rotate", "--dir", _authority.CaDirectory, "--authority", "switch")).ExitCode);
        Assert.Equal(0, (await Grok1Process.RunAsync("certs", "rotate", "--dir", _authority.CaDirectory, "--authority", "begin")).ExitCode);
        Assert.Equal(0, (await Grok1Process.RunAsync("certs", "rotate", node, "--bundle-only", "--dir", _authority.CaDirectory)).ExitCode);
        Assert.Equal(before[0], await File.ReadAllTextAsync(Path.Combine(node, "node.pem")));
        Assert.NotEqual(before[1], await File.ReadAllTextAsync(Path.Combine(node, "bundle.pem")));
        var rotated = await Grok1Process.RunAsync("certs", "rotate", node, "--dir", _authority.CaDirectory);
        Assert.Contains("worker worker-3 at 127.0.0.1, good until", rotated.Output);
        Assert.NotEqual(before[0], await File.ReadAllTextAsync(Path.Combine(node, "node.pem")));
        var shown = await Grok1Process.RunAsync("certs", "show", node, "--json");
        Assert.Equal(["ca", "ca", "worker"], JsonDocument.Parse(shown.Output).RootElement.GetProperty("certificates").EnumerateArray().Select(one => one.GetProperty("role").GetString()));
    }

    [Fact]
    public async Task A_node_is_revoked_by_its_name_and_others_get_the_list_with_the_bundle()
    {
        var node = _authority.Node(NodeRole.Worker, "worker-3");
        var revoked = await Grok1Process.RunAsync("certs", "revoke", "coordinator", "front", "--dir", _authority.CaDirectory);
        Assert.Equal(0, revoked.ExitCode);
        Assert.StartsWith("coordinator front: certificates made before ", revoked.Output);
        Assert.Equal(0, (await Grok1Process.RunAsync("certs", "revoke", "worker", "worker-9", "--dir", _authority.CaDirectory)).ExitCode);
        Assert.False(File.Exists(Path.Combine(node, "revoked.txt")));
        Assert.Equal(0, (await Grok1Process.RunAsync("certs", "rotate", node, "--bundle-only", "--dir", _authority.CaDirectory)).ExitCode);
        Assert.Matches("^grok1:coordinator/front [0-9TZ:-]+\ngrok1:worker/worker-9 [0-9TZ:-]+\n$", await File.ReadAllTextAsync(Path.Combine(node, "revoked.txt")));
        Assert.Contains("\nworker worker-9: revoked, what was made before ", (await Grok1Process.RunAsync("certs", "show", node)).Output);
        var shown = JsonDocument.Parse((await Grok1Process.RunAsync("certs", "show", node, "--json")).Output).RootElement;
        Assert.Equal(["front", "worker-9"], shown.GetProperty("revoked").EnumerateArray().Select(one => one.GetProperty("id").GetString()));
    }

    [Theory]
    [InlineData("worker-3 2026-11-22T22:35:10Z")]
    [InlineData("grok1:worker/worker-3")]
    [InlineData("grok1:worker/worker-3 yesterday")]
    [InlineData("grok1:worker/worker-3 2026-11-22T22:35:10Z more")]
    public void What_is_no_list_of_revoked_nodes_is_refused_and_named(string line) =>
        Assert.Contains(line, Assert.Throws<CredentialsException>(() => RevocationList.Parse($"grok1:worker/a 2026-01-01T00:00:00Z\n{line}\n", "revoked.txt")).Message);

    [Fact]
    public async Task A_machine_gets_its_certificate_for_a_token_once()
    {
        using var service = Grok1Process.Start("certs", "serve", "--dir", _authority.CaDirectory, "--listen", "127.0.0.1:0");
        var address = await SecureWorker.AddressOfAsync(service);
        var token = (await Grok1Process.RunAsync("certs", "token", "--role", "worker", "--id", "worker-7", "--dir", _authority.CaDirectory)).Output.Trim();
        var node = _authority.Free();
        var joined = await Grok1Process.RunAsync(new ProcessStartInfo(Grok1Process.ExecutablePath, ["certs", "join", address, "--token", "-", "--out", node]), token + "\n");
        Assert.Equal((0, ""), (joined.ExitCode, joined.Error));
        // It has its own id, and the address that it came from, in the certificate.
        Assert.Contains("worker worker-7 at 127.0.0.1", joined.Output);
        Assert.Equal(new NodeIdentity(NodeRole.Worker, "worker-7"), NodeCredentials.Open(node, _ => { }).Identity);

        var second = await Grok1Process.RunAsync("certs", "join", address, "--token", token, "--out", _authority.Free());
        Assert.Equal(6, second.ExitCode);
        Assert.Contains("the token is not good", second.Error);
        service.Signal(System.Runtime.InteropServices.PosixSignal.SIGTERM);
        Assert.Equal(0, (await service.WaitForExitAsync()).ExitCode);

        var nobody = await Grok1Process.RunAsync("certs", "join", address, "--token", token, "--out", _authority.Free());
        Assert.Equal(5, nobody.ExitCode);
        Assert.Contains($"nobody gives certificates at {address}", nobody.Error);
        Assert.EndsWith("start grok1 certs serve there, or correct the address\n", nobody.Error);
    }

    [Fact]
    public async Task A_service_of_another_ca_is_not_told_the_token()
    {
        using var stranger = new TestAuthority();
        var notes = new List<string>();
        await using var service = await EnrolmentServer.StartAsync(
            ClusterAuthority.Open(stranger.CaDirectory, TimeProvider.System), new TokenStore(stranger.CaDirectory, TimeProvider.System), "127.0.0.1:0", notes.Add, CancellationToken.None);
        var token = JoinToken.Create(ClusterAuthority.Open(_authority.CaDirectory, TimeProvider.System).Certificate);
        var refused = await Grok1Process.RunAsync("certs", "join", service.Address.ToString(), "--token", token.Text(), "--out", _authority.Free());
        Assert.Equal(6, refused.ExitCode);
        Assert.Contains("another CA than the token was made with", refused.Error);
        Assert.Empty(notes);
    }

    [Theory]
    [InlineData("used", false)]
    [InlineData("expired", false)]
    [InlineData("wrong secret", false)]
    [InlineData("wrong secret once", true)]
    public void A_token_is_good_once_for_its_time_and_a_few_tries(string what, bool good)
    {
        var time = new Clock();
        var store = new TokenStore(_authority.CaDirectory, time);
        var token = JoinToken.Create(ClusterAuthority.Open(_authority.CaDirectory, TimeProvider.System).Certificate);
        store.Add(token, new TokenGrant(new NodeIdentity(NodeRole.Worker, "w"), [], 1), TimeSpan.FromHours(1));
        var wrong = new byte[JoinToken.SecretBytes];
        switch (what)
        {
            case "used": Assert.NotNull(store.Take(token.Id.Span, token.Secret.Span)); break;
            case "expired": time.Now += TimeSpan.FromHours(1); break;
            default:
                for (var i = what == "wrong secret" ? TokenStore.MaxTries : 1; i > 0; i--)
                    Assert.Null(store.Take(token.Id.Span, wrong));
                break;
        }
        Assert.Equal(good, store.Take(token.Id.Span, token.Secret.Span) is not null);
    }

    public void Dispose() => _authority.Dispose();

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = DateTimeOffset.UtcNow;

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
