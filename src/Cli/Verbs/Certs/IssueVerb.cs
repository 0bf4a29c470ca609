using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cluster.Security;

namespace Grok1Cluster.Cli.Verbs.Certs;

/// <summary>Makes the certificate of one node, where the CA is.</summary>
internal static class IssueVerb
{
    public static Command Create()
    {
        var (role, id, authority, directory, days, force) = (CertsOptions.Role(), CertsOptions.Id(), CertsOptions.Authority(), CertsOptions.Out(), CertsOptions.Days(), CertsOptions.Force());
        var hosts = CertsOptions.Hosts("the id");
        var verb = new Verb("issue", "Make a certificate and its key for a worker, a coordinator or an operator.",
            "grok1 certs issue worker worker-3 --dir /secure/ca --out worker-3 --host node3,10.0.0.3") { role, id, authority, directory, hosts, days, force };
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            var output = context.Get(directory)!;
            NodeDirectory.CheckFree(output, context.Get(force));
            var ca = ClusterAuthority.Open(context.Get(authority)!, TimeProvider.System);
            var identity = new NodeIdentity(context.Get(role), context.Get(id)!);
            using var certificate = ca.Issue(identity, context.Get(hosts) ?? DefaultHosts(identity), TimeSpan.FromDays(context.Get(days)));
            NodeDirectory.Write(output, certificate, ca.Trusted, ca.Revoked, context.Get(force));
            Report(context, CertificateReport.Of(output, certificate));
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    /// <summary>Prints a certificate that was made.</summary>
    public static void Report(VerbContext context, CertificateReport report)
    {
        if (context.Output.Json)
            context.Output.WriteJson(report);
        else
            context.Output.WriteLine($"{report}");
    }

    /// <summary>An id that can be a host's name is taken for one.</summary>
    private static string[] DefaultHosts(NodeIdentity identity) => CertificateNames.IsDnsName(identity.Id) ? [identity.Id] : [];
}
