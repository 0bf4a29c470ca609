using System.Diagnostics.CodeAnalysis;

namespace Grok1Cluster.Cluster.Security;

/// <summary>Who a certificate is for: the URI <c>grok1:role/id</c> among its alternative names.</summary>
/// <param name="Role">Exactly one role.</param>
/// <param name="Id">Of a worker the id in plans; 1 to 64 of the characters A-Z a-z 0-9 . _ -.</param>
public sealed record NodeIdentity(NodeRole Role, string Id)
{
    private const string Scheme = "grok1:";
    private const int MaxIdLength = 64;

    private static readonly NodeRole[] Roles = [NodeRole.Coordinator, NodeRole.Worker, NodeRole.Operator, NodeRole.Enrolment];

    /// <summary>As it stands in a certificate.</summary>
    public string Uri => $"{Scheme}{NameOf(Role)}/{Id}";

    /// <summary>Whether <paramref name="id"/> can be in a certificate.</summary>
    public static bool IsId(string id) =>
        id.Length is > 0 and <= MaxIdLength && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-') && id.Any(char.IsAsciiLetterOrDigit);

    /// <summary>The name of a role in URIs and on the command line.</summary>
    public static string NameOf(NodeRole role) => role.ToString().ToLowerInvariant();

    /// <summary>Reads <see cref="Uri"/>.</summary>
    public static bool TryParse(string uri, [MaybeNullWhen(false)] out NodeIdentity identity)
    {
        identity = null;
        if (!uri.StartsWith(Scheme, StringComparison.Ordinal) || uri.IndexOf('/') is not (> 0 and var slash))
            return false;
        var (role, id) = (uri[Scheme.Length..slash], uri[(slash + 1)..]);
        foreach (var known in Roles)
            if (role == NameOf(known) && IsId(id))
                identity = new NodeIdentity(known, id);
        return identity is not null;
    }

    public override string ToString() => $"{NameOf(Role)} {Id}";
}
