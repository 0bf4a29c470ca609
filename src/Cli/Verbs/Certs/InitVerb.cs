using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cluster.Security;

namespace Grok1Cluster.Cli.Verbs.Certs;

/// <summary>Makes the CA.</summary>
internal static class InitVerb
{
    public static Command Create()
    {
        var directory = new PathArgument("DIR", "directory of the CA; keep it off the cluster's machines");
        var force = CertsOptions.Force();
        var verb = new Verb("init", "Make a cluster's CA: ca.pem with its key, bundle.pem with what nodes trust.", "grok1 certs init /secure/ca") { directory, force };
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            var made = ClusterAuthority.Create(context.Get(directory)!, context.Get(force), TimeProvider.System);
            IssueVerb.Report(context, CertificateReport.Of(context.Get(directory)!, made.Certificate));
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }
}
