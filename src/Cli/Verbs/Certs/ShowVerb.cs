using System.CommandLine;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cluster.Security;

namespace Grok1Cluster.Cli.Verbs.Certs;

/// <summary>What the certificates of a directory are.</summary>
internal static class ShowVerb
{
    public static Command Create()
    {
        var directory = new PathArgument("DIR", "a CA's or a node's directory, or a PEM file");
        var verb = new Verb("show", "Tell what the certificates in a directory are, and until when they are good.", "grok1 certs show /etc/grok1") { directory };
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            var reports = Files(context.Get(directory)!).SelectMany(Read).ToList();
            var revoked = RevocationList.Read(context.Get(directory)!).Before.OrderBy(entry => entry.Key.Uri, StringComparer.Ordinal).ToList();
            if (context.Output.Json)
            {
                context.Output.WriteJson(new
                {
                    Certificates = reports, Revoked = revoked.Select(entry => new { Role = NodeIdentity.NameOf(entry.Key.Role), entry.Key.Id, Before = entry.Value }),
                });
                return Task.FromResult(ExitCodes.Ok);
            }
            foreach (var report in reports)
                context.Output.WriteLine($"{report}");
            foreach (var (node, before) in revoked)
                context.Output.WriteLine($"{node}: revoked, what was made before {before.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC");
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    private static IReadOnlyList<string> Files(string path)
    {
        if (!Directory.Exists(path))
            return [path];
        var files = Directory.GetFiles(path, "*.pem").Order(StringComparer.Ordinal).ToList();
        return files.Count > 0 ? files : throw new CredentialsException($"{path} has no .pem file; grok1 certs makes them (grok1 certs --help)");
    }

    private static IEnumerable<CertificateReport> Read(string path) =>
        PemFiles.ReadBundle(path).Cast<X509Certificate2>().Select(certificate => CertificateReport.Of(path, certificate));
}
