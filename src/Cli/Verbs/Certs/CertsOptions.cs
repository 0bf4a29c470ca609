using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics.CodeAnalysis;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Security;

namespace Grok1Cluster.Cli.Verbs.Certs;

/// <summary>The arguments and flags that several verbs of <c>certs</c> share.</summary>
internal static class CertsOptions
{
    private const int DefaultDays = 365;
    private const int MaxDays = 3650;
    private const string IdDescription = "of a worker its --id; of others any name";
    private static readonly NodeRole[] Issued = [NodeRole.Worker, NodeRole.Coordinator, NodeRole.Operator];
    private static readonly string RoleNames = string.Join('|', Issued.Select(NodeIdentity.NameOf));

    /// <summary>The CA's directory.</summary>
    public static Option<string> Authority() => new("--dir") { Description = "directory of the CA (certs init)", HelpName = "DIR", Required = true };

    /// <summary>A node's directory, for <c>--tls</c>.</summary>
    public static Option<string> Out() => new("--out") { Description = "directory that gets node.pem and bundle.pem, for --tls", HelpName = "DIR", Required = true };

    public static Option<bool> Force() => new("--force") { Description = "replace files that are there" };

    public static FormattedOption<int> Days() => new("--days", TextFormats.Count(1, MaxDays), DefaultDays, "days that the certificate is good");

    public static FormattedOption<string[]?> Hosts(string without) =>
        new("--host", HostNames, null, $"names and IP addresses by which others reach it (default: {without})");

    public static Argument<NodeRole> Role() => new("ROLE") { Description = RoleNames.Replace("|", ", "), HelpName = "ROLE", CustomParser = result => ParseRole(result, "ROLE") };

    public static Option<NodeRole> RoleOption() => new("--role") { Description = "whose certificate it gets", HelpName = RoleNames, Required = true, CustomParser = result => ParseRole(result, "--role") };

    public static Argument<string> Id()
    {
        var id = new Argument<string>("ID") { Description = IdDescription };
        id.Validators.Add(result => CheckId(result, "ID"));
        return id;
    }

    public static Option<string> IdOption()
    {
        var id = new Option<string>("--id") { Description = IdDescription, HelpName = "ID", Required = true };
        id.Validators.Add(result => CheckId(result, "--id"));
        return id;
    }

    private static NodeRole ParseRole(ArgumentResult result, string name)
    {
        foreach (var role in Issued)
            if (result.Tokens[0].Value == NodeIdentity.NameOf(role))
                return role;
        result.AddError($"{name}: '{result.Tokens[0].Value}' is not one of {RoleNames.Replace("|", ", ")}");
        return default;
    }

    private static void CheckId(SymbolResult result, string name)
    {
        if (result.Tokens is [var token, ..] && !NodeIdentity.IsId(token.Value))
            result.AddError($"{name}: '{token.Value}' is not 1 to 64 letters, digits, '.', '_' or '-'");
    }

    private static TextFormat<string[]?> HostNames { get; } = new("HOST,...", "a list of host names or IP addresses, separated by commas", (string text, [MaybeNullWhen(false)] out string[]? hosts) =>
    {
        hosts = text.Split(',', StringSplitOptions.TrimEntries);
        return hosts.All(host => System.Net.IPAddress.TryParse(host, out _) || CertificateNames.IsDnsName(host));
    });
}
