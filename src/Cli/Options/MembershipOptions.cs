using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Membership.Etcd;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Cli.Options;

/// <summary>Where workers and coordinators of a cluster find each other: the flags of etcd, the same on every verb that has them.</summary>
internal sealed class MembershipOptions
{
    private static readonly string[] Anywhere = ["0.0.0.0", "::", "*", "+"];

    private readonly SettingOption<string[]?> _etcd = new(
        "--etcd", "membership:etcd", TextFormats.Addresses, null, "etcd, by which workers and coordinators find each other; https://HOST:PORT for TLS (default: none)");

    private readonly SettingOption<string?> _authorities = new(
        "--etcd-ca", "membership:etcd_ca", TextFormats.OptionalText("FILE"), null, "CAs that etcd's certificate may be of, PEM (default: those of --tls, else the system's)");

    private readonly SettingOption<string?> _certificate = new(
        "--etcd-cert", "membership:etcd_cert", TextFormats.OptionalText("FILE"), null, "certificate to show to etcd, PEM (default: that of --tls, else none)");

    private readonly SettingOption<string?> _key = new(
        "--etcd-key", "membership:etcd_key", TextFormats.OptionalText("FILE"), null, "its key, PEM (default: in the file of --etcd-cert)");

    private readonly SettingOption<string?> _user = new(
        "--etcd-user", "membership:etcd_user", TextFormats.OptionalText("NAME"), null, "user of etcd to be, where it asks for users (default: none)");

    private readonly SettingOption<string?> _password = new(
        "--etcd-password-file", "membership:etcd_password_file", TextFormats.OptionalText("FILE"), null, "file with the password of --etcd-user in one line");

    private readonly SettingOption<string> _cluster = new(
        "--cluster", "membership:cluster", TextFormats.Text("NAME"), "default", "which of the clusters in one etcd");

    private readonly SettingOption<string?> _advertise;

    private readonly SettingOption<string?> _coordinatorId = new(
        "--coordinator-id", "membership:coordinator_id", TextFormats.OptionalText("ID"), null, "this coordinator's id in etcd (default: HOST-PORT)");

    private readonly SettingOption<int> _leastWorkers = new(
        "--least-workers", "membership:least_workers", TextFormats.Count(1, 1024), 1, "workers to wait for before the first plan is made (at least --replicas)");

    /// <param name="who">Who uses the address: <c>coordinators</c> or <c>others</c>.</param>
    /// <param name="listen">The flag of the default.</param>
    public MembershipOptions(string who, string listen) => _advertise = new(
        "--advertise", "membership:advertise", TextFormats.OptionalText("HOST:PORT"), null, $"address by which {who} reach this process (default: {listen})");

    /// <param name="coordinator">Whether the verb is a coordinator's.</param>
    public void AddTo(Command command, bool coordinator)
    {
        foreach (var option in new Option[] { _etcd, _authorities, _certificate, _key, _user, _password, _cluster, _advertise })
            command.Add(option);
        if (!coordinator)
            return;
        command.Add(_coordinatorId);
        command.Add(_leastWorkers);
    }

    /// <summary>Whether workers and coordinators find each other by etcd.</summary>
    public bool IsUsed(VerbContext context) => context.Get(_etcd) is not null;

    /// <exception cref="UsageException">A flag would do nothing without etcd.</exception>
    public void RefuseIdle(VerbContext context) => context.RefuseIdle(!IsUsed(context), "it goes with --etcd, which is missing",
        _authorities, _certificate, _key, _user, _password, _cluster, _advertise, _coordinatorId, _leastWorkers);

    /// <summary>Workers to wait for before the first plan is made.</summary>
    public int LeastWorkers(VerbContext context) => context.Get(_leastWorkers);

    /// <summary>Registers a worker; null: nobody is to know of it.</summary>
    /// <param name="listen">Its gRPC address, as asked for.</param>
    /// <param name="tls">The directory of the worker's credentials; null: it has none.</param>
    /// <exception cref="UsageException">The cluster or the address cannot be told to others, or the flags contradict each other.</exception>
    public WorkerRegistrar? ForWorker(VerbContext context, string listen, string? tls)
    {
        if (Read(context, tls) is not { } etcd)
            return null;
        return new WorkerRegistrar(etcd, Advertised(context, "--listen", listen, portIsKnown: false), context.Output.Note);
    }

    /// <summary>Opens the membership of a coordinator; null: its workers are named on its command line.</summary>
    /// <param name="host">Where its HTTP API listens.</param>
    /// <param name="port">Where its HTTP API listens.</param>
    /// <param name="tls">The directory of the coordinator's credentials; null: it has none.</param>
    /// <exception cref="UsageException">The cluster, the id or the address cannot be told to others, or the flags contradict each other.</exception>
    public Func<PlanGeometry, CancellationToken, Task<IMembership>>? ForCoordinator(VerbContext context, string host, int port, string? tls)
    {
        if (Read(context, tls) is not { } etcd)
            return null;
        var address = Advertised(context, "--host and --port", GrpcAddress.Tcp(host, port).ToString(), portIsKnown: true)!;
        var id = context.Get(_coordinatorId) ?? $"{Environment.MachineName}-{GrpcAddress.Parse(address).Port}";
        CheckName("--coordinator-id", id);
        return async (geometry, cancel) => await EtcdMembership.OpenAsync(etcd, id, address, geometry, context.Output.Note, cancel);
    }

    private EtcdOptions? Read(VerbContext context, string? tls)
    {
        if (context.Get(_etcd) is not { } endpoints)
            return null;
        CheckName("--cluster", context.Get(_cluster));
        return new EtcdOptions { Endpoints = endpoints, Cluster = context.Get(_cluster), Tls = Tls(context, endpoints, tls), User = User(context) };
    }

    private EtcdUser? User(VerbContext context) => (context.Get(_user), context.Get(_password)) switch
    {
        (null, null) => null,
        ({ } name, { } file) => EtcdUser.OfFile(name, file),
        (null, _) => throw new UsageException("--etcd-password-file: it is the password of --etcd-user, which is missing"),
        _ => throw new UsageException("--etcd-user: its password is missing; name the file that has it with --etcd-password-file"),
    };

    /// <summary>What the flags name; where they name nothing, the credentials that this node has for the cluster.</summary>
    private EtcdTls Tls(VerbContext context, string[] endpoints, string? tls)
    {
        var (authorities, certificate, key) = (context.Get(_authorities), context.Get(_certificate), context.Get(_key));
        var isGiven = authorities is not null || certificate is not null || key is not null;
        if (endpoints.Any(EtcdOptions.IsSecure) is var secure && isGiven && !secure)
            throw new UsageException($"--etcd: {endpoints[0]} is called in clear, and --etcd-ca, --etcd-cert and --etcd-key are for TLS; write https://{endpoints[0]}, or leave them out");
        if (secure && endpoints.FirstOrDefault(endpoint => !EtcdOptions.IsSecure(endpoint)) is { } clear)
            throw new UsageException($"--etcd: {clear} would be called in clear, and others by TLS; write https:// before all of them");
        if (key is not null && certificate is null)
            throw new UsageException("--etcd-key: it is the key of --etcd-cert, which is missing");
        if (!secure)
            return EtcdTls.OfSystem();
        var node = tls is null ? (null, null) : (Authorities: Path.Combine(tls, NodeDirectory.BundleName), Pair: Path.Combine(tls, NodeDirectory.KeyPairName));
        return EtcdTls.OfFiles(authorities ?? node.Authorities, certificate ?? node.Pair, key ?? certificate ?? node.Pair, context.Output.Note);
    }

    /// <summary>The address that others are told; null: the one that it will listen on.</summary>
    private string? Advertised(VerbContext context, string flag, string listen, bool portIsKnown)
    {
        var given = context.Get(_advertise);
        GrpcAddress address;
        try
        {
            address = GrpcAddress.Parse(given ?? listen);
        }
        catch (FormatException e)
        {
            throw new UsageException($"{(given is null ? flag : "--advertise")}: {e.Message}", e);
        }
        if (Anywhere.Contains(address.Host))
            throw new UsageException($"{(given is null ? flag : "--advertise")}: others cannot reach {address.Host}; say --advertise HOST:PORT with this machine's name or address");
        if (address is { UnixPath: null, Port: 0 } && (given is not null || portIsKnown))
            throw new UsageException($"{(given is null ? flag : "--advertise")}: others cannot reach port 0; say --advertise HOST:PORT");
        return given ?? (portIsKnown ? listen : null);
    }

    private static void CheckName(string flag, string name)
    {
        if (!EtcdOptions.IsName(name))
            throw new UsageException($"{flag}: '{name}' cannot be a part of a key in etcd; use up to 128 letters, digits and . _ : -, beginning with a letter or digit");
    }
}
