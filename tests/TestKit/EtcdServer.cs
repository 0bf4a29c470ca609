using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Xunit;

namespace Grok1Cluster.TestKit;

/// <summary>A fact against a real etcd; skipped, with a line that says so, where it is not installed.</summary>
public sealed class EtcdFactAttribute : FactAttribute
{
    public EtcdFactAttribute() => Skip = Missing;

    /// <summary>Why there is no etcd here; null if there is.</summary>
    public static string? Missing { get; } =
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, "etcd"))) ? null
            : "needs etcd (Debian: apt-get install etcd-server)";
}

/// <summary>
/// One etcd of its own on loopback, with its data where writes need no disk, if there is such a place. What tests do to its keys goes
/// through its JSON gateway, so that nothing of ours is between.
/// </summary>
public sealed class EtcdServer : IAsyncDisposable
{
    private const long DataBytes = 512 << 20;
    private const int Kill9 = 9, Stop19 = 19, Continue18 = 18;
    private const string Root = "root", Authenticate = "auth/authenticate";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly string _data = Path.Combine(MemoryFolder(), $"grok1-etcd-{Guid.NewGuid():N}");
    private readonly HttpClient _http = new();
    private readonly int _port;
    private readonly int _peerPort;
    private Grok1Process _process = null!;

    private readonly string? _tls;
    private readonly IReadOnlyList<string> _flags;
    private bool _asksForUsers;

    private EtcdServer((int Client, int Peer) ports, string? tls, IReadOnlyList<string> flags) => (_port, _peerPort, _tls, _flags) = (ports.Client, ports.Peer, tls, flags);

    /// <summary>Where clients reach it.</summary>
    public string Address => $"127.0.0.1:{_port}";

    /// <summary>Starts one and waits until it serves.</summary>
    public static Task<EtcdServer> StartAsync() => StartAsync(null);

    /// <param name="tls">Directory of a node's credentials (<c>grok1 certs issue</c>): it then takes TLS only, and only certificates of its CA; null in clear.</param>
    /// <inheritdoc cref="StartAsync()"/>
    /// <param name="flags">More of etcd's own.</param>
    public static async Task<EtcdServer> StartAsync(string? tls, params IReadOnlyList<string> flags)
    {
        for (var attempt = 0; ; attempt++)
        {
            var server = new EtcdServer(FreePorts(), tls, flags);
            try
            {
                await server.RestartAsync();
                return server;
            }
            catch (TimeoutException) when (attempt < 2)
            {
                // Somebody else may have taken a port in between.
                await server.DisposeAsync();
            }
        }
    }

    /// <summary>Starts it again, at the same address, and waits until it serves.</summary>
    public async Task RestartAsync()
    {
        var url = $"{(_tls is null ? "http" : "https")}://127.0.0.1:{_port}";
        var peer = $"http://127.0.0.1:{_peerPort}";
        var start = new ProcessStartInfo("etcd",
        [
            "--name", "test", "--data-dir", _data, "--logger", "zap", "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", $"test={peer}",
            // The shortest lease is one and a half elections.
            "--heartbeat-interval", "50", "--election-timeout", "500",
            .. _flags,
            .. _tls is null ? Array.Empty<string>() :
            [
                "--cert-file", Path.Combine(_tls, "node.pem"), "--key-file", Path.Combine(_tls, "node.pem"),
                "--client-cert-auth", "--trusted-ca-file", Path.Combine(_tls, "bundle.pem"),
            ],
        ]);
        _process = Grok1Process.Start(start);
        // The last thing that it does before it serves.
        await _process.WaitForErrorLineAsync(line => line.Contains("serving client traffic ", StringComparison.Ordinal), Limit);
    }

    /// <summary>kill -9; the data stays.</summary>
    public async Task KillAsync()
    {
        Signals.Send(_process.Id, Kill9);
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    /// <summary>Everything that it knew is gone; while it is not running.</summary>
    public void Wipe() => Directory.Delete(_data, recursive: true);

    /// <summary>SIGSTOP: it is silent, and its connections stay.</summary>
    public void Pause() => Signals.Send(_process.Id, Stop19);

    /// <summary>SIGCONT.</summary>
    public void Resume() => Signals.Send(_process.Id, Continue18);

    /// <summary>Waits for a line of its log.</summary>
    public Task UntilLineAsync(Func<string, bool> wanted) => _process.WaitForErrorLineAsync(wanted, Limit);

    /// <summary>From now on it asks who calls. Start it with <c>--bcrypt-cost 4</c>: what makes passwords hard to guess is slow.</summary>
    /// <param name="user">May read and write below a prefix.</param>
    /// <param name="password">The user's.</param>
    /// <param name="prefix">Of ASCII.</param>
    public async Task AskForUsersAsync(string user, string password, string prefix)
    {
        await AddUserAsync(Root, Root);
        await AddUserAsync(user, password);
        await AskAsync("auth/role/add", new JsonObject { ["name"] = Root });
        await AskAsync("auth/role/add", new JsonObject { ["name"] = user });
        await AskAsync("auth/role/grant", new JsonObject
        {
            ["name"] = user, ["perm"] = new JsonObject { ["permType"] = "READWRITE", ["key"] = Base64(prefix), ["range_end"] = Base64(prefix[..^1] + (char)(prefix[^1] + 1)) },
        });
        foreach (var name in new[] { Root, user })
            await AskAsync("auth/user/grant", new JsonObject { ["user"] = name, ["role"] = name });
        await AskAsync("auth/enable", []);
        _asksForUsers = true;
    }

    /// <summary>A user without a role.</summary>
    public Task AddUserAsync(string user, string password) => AskAsync("auth/user/add", new JsonObject { ["name"] = user, ["password"] = password });

    public Task ChangePasswordAsync(string user, string password) => AskAsync("auth/user/changepw", new JsonObject { ["name"] = user, ["password"] = password });

    public Task PutAsync(string key, string value) => PutAsync(key, Encoding.UTF8.GetBytes(value));

    public Task PutAsync(string key, byte[] value) =>
        AskAsync("kv/put", new JsonObject { ["key"] = Base64(key), ["value"] = Convert.ToBase64String(value) });

    /// <summary>As whoever dies the moment after does it: the keys end after a few seconds, all at once.</summary>
    public async Task PutDyingAsync(params (string Key, string Value)[] entries)
    {
        var lease = await AskAsync("lease/grant", new JsonObject { ["TTL"] = 3 });
        foreach (var (key, value) in entries)
            await AskAsync("kv/put", new JsonObject { ["key"] = Base64(key), ["value"] = Base64(value), ["lease"] = lease["ID"]!.GetValue<string>() });
    }

    public Task DeleteAsync(string key) => AskAsync("kv/deleterange", new JsonObject { ["key"] = Base64(key) });

    /// <summary>The value of a key; null: there is none.</summary>
    public async Task<byte[]?> GetAsync(string key)
    {
        var answer = await AskAsync("kv/range", new JsonObject { ["key"] = Base64(key) });
        return answer["kvs"]?[0]?["value"] is { } value ? Convert.FromBase64String(value.GetValue<string>()) : null;
    }

    /// <summary>Ids of all leases.</summary>
    public async Task<IReadOnlyList<string>> LeasesAsync() =>
        [.. (await AskAsync("lease/leases", []))["leases"]?.AsArray().Select(lease => lease!["ID"]!.GetValue<string>()) ?? []];

    /// <summary>Forgets everything but the present.</summary>
    public async Task CompactAsync()
    {
        var now = await AskAsync("kv/range", new JsonObject { ["key"] = Base64("x") });
        await AskAsync("kv/compaction", new JsonObject { ["revision"] = now["header"]!["revision"]!.GetValue<string>(), ["physical"] = true });
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await KillAsync();
        }
        catch (InvalidOperationException)
        {
            // Not running.
        }
        _http.Dispose();
        if (Directory.Exists(_data))
            Directory.Delete(_data, recursive: true);
    }

    private async Task<JsonNode> AskAsync(string path, JsonObject request)
    {
        using var limit = new CancellationTokenSource(Limit);
        using var message = new HttpRequestMessage(HttpMethod.Post, $"http://{Address}/v3/{path}") { Content = JsonContent.Create(request) };
        if (_asksForUsers && path != Authenticate)
            message.Headers.TryAddWithoutValidation("Authorization", (await AskAsync(Authenticate, new JsonObject { ["name"] = Root, ["password"] = Root }))["token"]!.GetValue<string>());
        using var response = await _http.SendAsync(message, limit.Token);
        response.EnsureSuccessStatusCode();
        return (await response.Content.ReadFromJsonAsync<JsonNode>(limit.Token))!;
    }

    private static string Base64(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));

    private static string MemoryFolder()
    {
        const string shared = "/dev/shm";
        return Directory.Exists(shared) && new DriveInfo(shared).AvailableFreeSpace > DataBytes ? shared : Path.GetTempPath();
    }

    private static (int, int) FreePorts()
    {
        using var client = new TcpListener(IPAddress.Loopback, 0);
        using var peer = new TcpListener(IPAddress.Loopback, 0);
        client.Start();
        peer.Start();
        return (((IPEndPoint)client.LocalEndpoint).Port, ((IPEndPoint)peer.LocalEndpoint).Port);
    }
}
