using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Security;

namespace Grok1Cluster.Cli.Verbs.Certs;

/// <summary>New certificates for nodes, and the three steps to another CA.</summary>
internal static class RotateVerb
{
    private const string Begin = "begin", Switch = "switch", Finish = "finish";

    public static Command Create()
    {
        var node = new Argument<string?>("NODE_DIR") { Description = "a node's directory, which gets a new key and certificate for the same identity and hosts, and the bundle and revoked nodes of now", Arity = ArgumentArity.ZeroOrOne };
        var (authority, days) = (CertsOptions.Authority(), CertsOptions.Days());
        var step = new FormattedOption<string?>("--authority", Step, null, "change the CA: begin makes the next one, trusted beside this one; switch signs with it; finish trusts it alone");
        var bundleOnly = new Option<bool>("--bundle-only") { Description = "leave key and certificate of NODE_DIR as they are, and give it the bundle and the revoked nodes of now" };
        var verb = new Verb("rotate", "Exchange a node's certificate, or the CA. Running processes notice.",
            "grok1 certs rotate worker-3 --dir /secure/ca",
            "grok1 certs rotate --dir /secure/ca --authority begin     # then rotate --bundle-only every node, switch, rotate every node, finish") { node, authority, days, step, bundleOnly };
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            context.RefuseIdle(context.Get(step) is not null, "it is for a node's certificate, and --authority changes the CA; leave one of the two out", bundleOnly, days);
            context.RefuseIdle(context.Get(bundleOnly), "with --bundle-only no certificate is made; leave one of the two out", days);
            var ca = ClusterAuthority.Open(context.Get(authority)!, TimeProvider.System);
            IssueVerb.Report(context, (context.Get(node), context.Get(step)) switch
            {
                ({ } directory, null) => Node(ca, directory, TimeSpan.FromDays(context.Get(days)), context.Get(bundleOnly)),
                (null, { } change) => Authority(ca, context.Get(authority)!, change),
                _ => throw new UsageException("give NODE_DIR for a node's certificate, or --authority for the CA (see: grok1 certs rotate --help)"),
            });
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    private static CertificateReport Node(ClusterAuthority ca, string directory, TimeSpan lifetime, bool bundleOnly)
    {
        using var old = PemFiles.ReadKeyPair(Path.Combine(directory, NodeDirectory.KeyPairName));
        var names = CertificateNames.Of(old);
        if (bundleOnly)
        {
            NodeDirectory.WriteTrust(directory, ca.Trusted, ca.Revoked);
            return CertificateReport.Of(directory, old);
        }
        using var made = ca.Issue(names.Identity ?? throw new CredentialsException($"{directory} is no node of a cluster: its certificate names no role and id"), names.Hosts, lifetime);
        NodeDirectory.Write(directory, made, ca.Trusted, ca.Revoked, overwrite: true);
        return CertificateReport.Of(directory, made);
    }

    private static CertificateReport Authority(ClusterAuthority ca, string directory, string step)
    {
        switch (step)
        {
            case Begin: ca.BeginChange(); break;
            case Switch: ca.SwitchToNext(); break;
            default: ca.FinishChange(); break;
        }
        return CertificateReport.Of(directory, ca.Certificate);
    }

    private static TextFormat<string?> Step { get; } = new($"{Begin}|{Switch}|{Finish}", $"one of {Begin}, {Switch}, {Finish}", (string text, out string? value) => (value = text) is Begin or Switch or Finish);
}
