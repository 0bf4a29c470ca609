using System.CommandLine;

namespace Grok1Cluster.Cli.Verbs.Certs;

/// <summary>The cluster's own CA and the certificates of its nodes; see docs/security.md.</summary>
internal static class CertsVerb
{
    public static Command Create()
    {
        var verb = new Verb("certs", "Make the certificates by which coordinators and workers know each other (--tls).",
            "grok1 certs init /secure/ca                                                    # once, on one machine",
            "grok1 certs issue worker worker-3 --dir /secure/ca --out worker-3 --host node3,10.0.0.3",
            "grok1 certs issue coordinator front --dir /secure/ca --out front",
            "grok1 certs token --role worker --id worker-4 --dir /secure/ca                 # or let machines fetch theirs:",
            "grok1 certs serve --dir /secure/ca --listen 0.0.0.0:9049",
            "grok1 certs join ca-host:9049 --token grok1-join-... --out /etc/grok1")
        {
            InitVerb.Create(), IssueVerb.Create(), RotateVerb.Create(), RevokeVerb.Create(), ShowVerb.Create(), TokenVerb.Create(), EnrolVerbs.CreateServe(), EnrolVerbs.CreateJoin(),
        };
        return verb;
    }
}
