using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Security.Enrolment;

namespace Grok1Cluster.Cli.Verbs.Certs;

/// <summary>Makes a join token.</summary>
internal static class TokenVerb
{
    private const double MaxHours = 24 * 30;

    public static Command Create()
    {
        var (role, id, authority, days) = (CertsOptions.RoleOption(), CertsOptions.IdOption(), CertsOptions.Authority(), CertsOptions.Days());
        var hosts = CertsOptions.Hosts("the address that it joins from");
        var hours = new FormattedOption<double>("--hours", TextFormats.Real(0.01, MaxHours), 24, "hours that the token is good");
        var verb = new Verb("token", "Make a token with which one machine gets one certificate, once (certs serve, certs join).",
            "grok1 certs token --role worker --id worker-3 --dir /secure/ca --host node3 --hours 2") { role, id, authority, hosts, hours, days };
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            var ca = ClusterAuthority.Open(context.Get(authority)!, TimeProvider.System);
            var token = JoinToken.Create(ca.Certificate);
            var grant = new TokenGrant(new NodeIdentity(context.Get(role), context.Get(id)!), context.Get(hosts) ?? [], context.Get(days));
            var lifetime = TimeSpan.FromHours(context.Get(hours));
            new TokenStore(context.Get(authority)!, TimeProvider.System).Add(token, grant, lifetime);
            var expires = DateTimeOffset.UtcNow + lifetime;
            if (context.Output.Json)
                context.Output.WriteJson(new { Token = token.Text(), Role = NodeIdentity.NameOf(grant.Identity.Role), grant.Identity.Id, grant.Hosts, Expires = expires });
            else
                context.Output.WriteLine(token.Text());
            context.Output.Note($"for {grant.Identity}, once, until {expires:yyyy-MM-dd HH:mm} UTC");
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }
}
