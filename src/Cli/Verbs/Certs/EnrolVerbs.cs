using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Security.Enrolment;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Cli.Verbs.Certs;

/// <summary>The two ends of joining: the service beside the CA, and the machine that wants a certificate.</summary>
internal static class EnrolVerbs
{
    public static Command CreateServe()
    {
        var authority = CertsOptions.Authority();
        var listen = new FormattedOption<string>("--listen", TextFormats.Text("HOST:PORT"), "127.0.0.1:9049", "address for machines that join; 0.0.0.0:9049 for others than this one");
        var verb = new Verb("serve", "Give certificates for tokens, until a signal. Needed only while machines join.", "grok1 certs serve --dir /secure/ca --listen 0.0.0.0:9049") { authority, listen };
        verb.Runs(async (context, cancellation) =>
        {
            var directory = context.Get(authority)!;
            var address = context.Get(listen)!;
            CheckTcp("--listen", address);
            await using var server = await EnrolmentServer.StartAsync(
                ClusterAuthority.Open(directory, TimeProvider.System), new TokenStore(directory, TimeProvider.System), address, context.Output.Note, cancellation);
            context.Output.Note($"gives certificates of {directory} for tokens, and listens on {server.Address}");
            await Task.Delay(Timeout.Infinite, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return ExitCodes.Ok;
        });
        return verb;
    }

    public static Command CreateJoin()
    {
        var address = new Argument<string>("HOST:PORT") { Description = "where certs serve listens" };
        var token = new Option<string>("--token") { Description = "what certs token printed; - reads it from stdin, which no list of processes shows", HelpName = "TOKEN", Required = true };
        var (directory, force) = (CertsOptions.Out(), CertsOptions.Force());
        var verb = new Verb("join", "Make a key on this machine and get its certificate for a token.",
            "grok1 certs join ca-host:9049 --token - --out /etc/grok1 < token") { address, token, directory, force };
        verb.AddJson();
        verb.Runs(async (context, cancellation) =>
        {
            var text = context.Get(token) == "-" ? (await Console.In.ReadLineAsync(cancellation) ?? "").Trim() : context.Get(token)!;
            if (!JoinToken.TryParse(text, out var parsed))
                throw new UsageException("--token: this is no token of grok1 certs token; copy the whole word");
            CheckTcp("HOST:PORT", context.Get(address)!);
            using var certificate = await EnrolmentClient.JoinAsync(context.Get(address)!, parsed, context.Get(directory)!, context.Get(force), cancellation);
            IssueVerb.Report(context, CertificateReport.Of(context.Get(directory)!, certificate));
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static void CheckTcp(string name, string address)
    {
        try
        {
            if (GrpcAddress.Parse(address).UnixPath is not null)
                throw new UsageException($"{name}: {address} is a Unix socket; joining is over TLS, at HOST:PORT");
        }
        catch (FormatException e)
        {
            throw new UsageException($"{name}: {e.Message}", e);
        }
    }
}
