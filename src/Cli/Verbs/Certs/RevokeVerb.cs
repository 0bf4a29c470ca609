using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cluster.Security;

namespace Grok1Cluster.Cli.Verbs.Certs;

/// <summary>Puts a node on the list of those whose certificates are refused.</summary>
internal static class RevokeVerb
{
    public static Command Create()
    {
        var (role, id, authority) = (CertsOptions.Role(), CertsOptions.Id(), CertsOptions.Authority());
        var verb = new Verb("revoke", $"Refuse every certificate that a node has until now. Takes effect where {RevocationList.FileName} is put beside bundle.pem; running processes notice.",
            "grok1 certs revoke worker worker-3 --dir /secure/ca") { role, id, authority };
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            var node = new NodeIdentity(context.Get(role), context.Get(id)!);
            var ca = ClusterAuthority.Open(context.Get(authority)!, TimeProvider.System);
            var before = ca.Revoke(node);
            if (context.Output.Json)
                context.Output.WriteJson(new { Role = NodeIdentity.NameOf(node.Role), node.Id, Before = before, File = ca.RevokedPath });
            else
                context.Output.WriteLine($"{node}: certificates made before {before.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC are refused wherever {ca.RevokedPath} is beside bundle.pem");
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }
}
