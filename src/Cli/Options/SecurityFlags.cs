using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Cli.Options;

/// <summary>The flags of the links between processes: <c>--tls</c> on every verb that has such a link, <c>--insecure</c> where one listens.</summary>
internal static class SecurityFlags
{
    private const int WarnDays = 30;

    public static SettingOption<string?> TlsOption(string description) => new("--tls", "security:tls", TextFormats.OptionalText("DIR"), null, description);

    public static SettingOption<bool> InsecureOption(string description = "listen for other machines in clear: whoever reaches the port can use it") =>
        new("--insecure", "security:insecure", TextFormats.Flag, false, description);

    /// <summary>The credentials of <c>--tls</c>; null where it was not given.</summary>
    /// <exception cref="CredentialsException">They cannot be used, or are another role's.</exception>
    public static NodeCredentials? Open(VerbContext context, SettingOption<string?> tls, NodeRole role)
    {
        if (context.Get(tls) is not { } directory)
            return null;
        var credentials = NodeCredentials.Open(directory, context.Output.Note);
        if (credentials.Identity.Role != role)
            throw new CredentialsException($"{directory} holds the certificate of {credentials.Identity}, and a {NodeIdentity.NameOf(role)}'s is needed (grok1 certs issue {NodeIdentity.NameOf(role)} ID)");
        WarnOfEnd(context, credentials);
        return credentials;
    }

    /// <summary>The credentials of a process that listens; null in clear, which other machines get only where <c>--insecure</c> asks for it.</summary>
    /// <exception cref="UsageException">The address is open to other machines, and it is not said how.</exception>
    /// <exception cref="CredentialsException">The certificate cannot be used, or is somebody else's.</exception>
    public static NodeCredentials? OpenForListening(VerbContext context, string listen, SettingOption<string?> tls, SettingOption<bool> insecure, NodeIdentity self)
    {
        var address = ParseAddress(listen);
        var credentials = Open(context, tls, self.Role);
        if (credentials is not null)
        {
            if (address.UnixPath is not null)
                throw new UsageException($"--tls: the Unix socket {listen} stays on this machine and has no TLS; leave --tls out, or listen on HOST:PORT");
            return credentials.Identity.Id == self.Id ? credentials
                : throw new CredentialsException($"--tls: the certificate is that of {credentials.Identity}, and this is {self} (--id)");
        }
        CheckListening(context, "--listen", listen, null, insecure);
        return null;
    }

    /// <summary>Refuses to listen for other machines in clear, unless it was asked for; then it is said in red.</summary>
    /// <exception cref="UsageException">The address is open to other machines, and it is not said how.</exception>
    public static void CheckListening(VerbContext context, string flag, string listen, NodeCredentials? credentials, SettingOption<bool> insecure)
    {
        var address = ParseAddress(listen, flag);
        if (credentials is not null || Exposure.IsLocal(address))
            return;
        if (!context.Get(insecure))
            throw new UsageException($"{flag}: {listen} is open to other machines: give --tls DIR with a certificate (grok1 certs --help), listen on 127.0.0.1, or say --insecure");
        context.Output.Warn($"INSECURE: {listen} takes calls in clear from every machine that reaches it");
    }

    /// <summary>Says it where calls to other machines go in clear.</summary>
    public static void WarnOfClear(VerbContext context, ClusterSessionOptions options)
    {
        if (options.Tls is null && options.WorkerAddresses.Where(address => !Exposure.IsLocal(GrpcAddress.Parse(address))).ToList() is [var first, ..] exposed)
            context.Output.Warn($"INSECURE: calls to {first}{(exposed.Count > 1 ? $" and {exposed.Count - 1} more workers" : "")} go in clear; --tls DIR protects them");
    }

    private static GrpcAddress ParseAddress(string listen, string flag = "--listen")
    {
        try
        {
            return GrpcAddress.Parse(listen);
        }
        catch (FormatException e)
        {
            throw new UsageException($"{flag}: {e.Message}", e);
        }
    }

    private static void WarnOfEnd(VerbContext context, NodeCredentials credentials)
    {
        var left = credentials.GoodUntil - DateTimeOffset.UtcNow;
        if (left < TimeSpan.Zero)
            throw new CredentialsException($"the certificate of {credentials.Identity} has expired on {credentials.GoodUntil:yyyy-MM-dd} (grok1 certs rotate)");
        if (left < TimeSpan.FromDays(WarnDays))
            context.Output.Warn($"the certificate of {credentials.Identity} expires on {credentials.GoodUntil:yyyy-MM-dd} (grok1 certs rotate)");
    }
}
