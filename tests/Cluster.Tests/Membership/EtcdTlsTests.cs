using System.Net.Http.Json;
using System.Text.Json;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Membership.Etcd;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Tests.Security;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Membership;

/// <summary>An etcd that takes TLS with certificates of the cluster's CA, and nothing else.</summary>
public sealed class SecureEtcdFixture : IAsyncLifetime
{
    private readonly Lazy<Task<EtcdServer>> _server;

    public SecureEtcdFixture() => _server = new(() => EtcdServer.StartAsync(Authority.Node(NodeRole.Operator, "etcd-0")));

    public TestAuthority Authority { get; } = new();

    public async Task<string> EndpointAsync() => $"https://{(await _server.Value).Address}";

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_server.IsValueCreated)
            await (await _server.Value).DisposeAsync();
        Authority.Dispose();
    }
}

public sealed class EtcdTlsTests(SecureEtcdFixture etcd, ModelFixture models) : IClassFixture<SecureEtcdFixture>, IClassFixture<ModelFixture>
{
    [EtcdFact]
    public async Task Processes_with_certificates_of_the_cluster_find_each_other_in_an_etcd_that_takes_no_others()
    {
        var endpoint = await etcd.EndpointAsync();
        var coordinator = etcd.Authority.Node(NodeRole.Coordinator, "c-0");
        var shown = etcd.Authority.Node(NodeRole.Operator, "shown");
        // One shows what it is in the cluster, the other the files that the flags name.
        using var worker = Grok1Process.Start("worker", "--model", models.Golden("tiny-b"), "--id", "worker-0", "--listen", "127.0.0.1:0", "--threads", "1",
            "--tls", etcd.Authority.Node(NodeRole.Worker, "worker-0"), "--etcd", endpoint);
        using var serve = Grok1Process.Start("serve", "--model", models.WithoutExperts("tiny-b"), "--port", "0", "--advertise", "one:8080", "--threads", "1", "--tls", coordinator,
            "--etcd", endpoint, "--etcd-ca", Path.Combine(shown, "bundle.pem"), "--etcd-cert", Path.Combine(shown, "node.pem"), "--etcd-key", Path.Combine(shown, "node.pem"));
        var line = await serve.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        using var client = new HttpClient { BaseAddress = new Uri(line[(line.LastIndexOf(' ') + 1)..]), Timeout = Grok1Process.DefaultTimeout };
        using var response = await client.PostAsJsonAsync("/v1/completions", new { prompt = new[] { 7, 8, 9 }, max_tokens = 3, temperature = 0 });
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
        Assert.Equal(3, (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("usage").GetProperty("completion_tokens").GetInt32());
    }

    [EtcdFact]
    public async Task An_etcd_of_another_CA_is_not_trusted_and_a_worker_ends_with_a_line_that_says_so()
    {
        var endpoint = await etcd.EndpointAsync();
        using var other = new TestAuthority();
        var result = await Grok1Process.RunAsync("worker", "--model", models.Golden("tiny-b"), "--listen", "127.0.0.1:0", "--etcd", endpoint,
            "--etcd-ca", Path.Combine(other.Coordinator, "bundle.pem"));
        Assert.Equal(5, result.ExitCode);
        Assert.Contains($"etcd at {endpoint} is not trusted: etcd's certificate is not good here: it is of another CA (--etcd-ca)", result.Error);
    }

    [EtcdFact]
    public async Task Who_shows_no_certificate_or_one_that_etcd_does_not_take_is_told_of_the_flag()
    {
        var bundle = Path.Combine(etcd.Authority.Coordinator, "bundle.pem");
        Assert.Matches("does not answer .*show it a certificate, if it asks for one \\(--etcd-cert\\)", (await RefusalAsync(EtcdTls.OfFiles(bundle, null, null, _ => { }))).Message);
        var foreign = Path.Combine(etcd.Authority.Foreign(), "node.pem");
        Assert.Matches("does not answer .*give a certificate that it takes \\(--etcd-cert\\)", (await RefusalAsync(EtcdTls.OfFiles(bundle, foreign, foreign, _ => { }))).Message);
    }

    [EtcdFact]
    public async Task An_etcd_at_a_host_that_its_certificate_does_not_name_is_not_trusted()
    {
        var pair = Path.Combine(etcd.Authority.Coordinator, "node.pem");
        var tls = EtcdTls.OfFiles(Path.Combine(etcd.Authority.Coordinator, "bundle.pem"), pair, pair, _ => { });
        var refusal = await RefusalAsync(tls, (await etcd.EndpointAsync()).Replace("127.0.0.1", "localhost", StringComparison.Ordinal));
        Assert.Contains("etcd's certificate is for the hosts 127.0.0.1, not for this address", refusal.Message);
    }

    [Theory]
    [InlineData("127.0.0.1:1 is called in clear, and --etcd-ca, --etcd-cert and --etcd-key are for TLS; write https://127.0.0.1:1", "127.0.0.1:1", "--etcd-ca", "ca.pem")]
    [InlineData("127.0.0.1:2 would be called in clear, and others by TLS", "https://127.0.0.1:1,127.0.0.1:2", "--cluster", "default")]
    [InlineData("--etcd-key: it is the key of --etcd-cert, which is missing", "https://127.0.0.1:1", "--etcd-key", "key.pem")]
    [InlineData("no-such.pem does not exist", "https://127.0.0.1:1", "--etcd-ca", "no-such.pem")]
    public async Task Flags_that_contradict_each_other_are_refused_before_anything_is_loaded(string problem, string endpoints, string flag, string value)
    {
        var result = await Grok1Process.RunAsync("worker", "--model", models.Golden("tiny-b"), "--etcd", endpoints, flag, value);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(problem, result.Error);
    }

    private async Task<MembershipException> RefusalAsync(EtcdTls tls, string? endpoint = null) => await Assert.ThrowsAsync<MembershipException>(async () =>
        await EtcdRegistration.CheckAsync(new EtcdOptions { Endpoints = [endpoint ?? await etcd.EndpointAsync()], Tls = tls, CallTimeout = Grok1Process.DefaultTimeout }, "worker-0", CancellationToken.None));
}
