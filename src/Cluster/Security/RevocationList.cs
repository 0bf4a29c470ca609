using System.Globalization;
using System.Security.Cryptography.X509Certificates;

namespace Grok1Cluster.Cluster.Security;

/// <summary>
/// Nodes whose certificates are refused though their CA stands: <c>revoked.txt</c> beside the bundle, a line each,
/// <c>grok1:worker/worker-3 2026-11-22T22:35:10Z</c>. What was made for that node before that time is refused, what is made later is good; so whoever
/// revokes needs to know the node and not which of its certificates was stolen.
/// </summary>
public sealed class RevocationList
{
    public const string FileName = "revoked.txt";

    /// <summary>More nodes than a cluster has.</summary>
    private const int MaxNodes = 10_000;

    private const string TimeFormat = "yyyy-MM-dd'T'HH:mm:ss'Z'";

    private readonly Dictionary<NodeIdentity, DateTimeOffset> _before;

    private RevocationList(Dictionary<NodeIdentity, DateTimeOffset> before) => _before = before;

    /// <summary>Nobody.</summary>
    public static RevocationList Empty { get; } = new([]);

    /// <summary>Each node, and when a certificate must have been made to be good.</summary>
    public IReadOnlyDictionary<NodeIdentity, DateTimeOffset> Before => _before;

    /// <summary>The list of a CA's or a node's directory; empty where it has none.</summary>
    /// <exception cref="CredentialsException">It cannot be read, or is none.</exception>
    public static RevocationList Read(string directory) =>
        Path.Combine(directory, FileName) is var path && File.Exists(path) ? Parse(PemFiles.ReadText(path), path) : Empty;

    /// <param name="text">The file.</param>
    /// <param name="name">Where it comes from, for errors.</param>
    /// <exception cref="CredentialsException">It is no such list.</exception>
    public static RevocationList Parse(string text, string name)
    {
        var before = new Dictionary<NodeIdentity, DateTimeOffset>();
        foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (line.Split(' ') is not [var uri, var time] || !NodeIdentity.TryParse(uri, out var node)
                || !DateTimeOffset.TryParseExact(time, TimeFormat, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var moment))
                throw new CredentialsException($"{name}: '{(line.Length > 100 ? line[..100] : line)}' is not grok1:ROLE/ID and a time such as 2026-11-22T22:35:10Z (grok1 certs revoke)");
            if (before.Count == MaxNodes)
                throw new CredentialsException($"{name} has more than {MaxNodes} nodes; a new CA is the shorter way (grok1 certs rotate --authority begin)");
            before[node] = moment;
        }
        return new RevocationList(before);
    }

    /// <summary>The same with one more node.</summary>
    /// <param name="node">Whose certificates are no longer good.</param>
    /// <param name="moment">Those made before; counted in whole seconds.</param>
    public RevocationList With(NodeIdentity node, DateTimeOffset moment) => new(new Dictionary<NodeIdentity, DateTimeOffset>(_before) { [node] = moment });

    /// <summary>Writes the file; an empty list is none.</summary>
    /// <exception cref="CredentialsException">It cannot be written.</exception>
    public void Write(string directory)
    {
        var path = Path.Combine(directory, FileName);
        if (_before.Count > 0 || File.Exists(path))
            PemFiles.Write(path, ToString(), overwrite: true);
    }

    /// <summary>Whether a certificate is refused.</summary>
    /// <param name="node">Whose it is.</param>
    /// <param name="certificate">The certificate, of the cluster's CA.</param>
    public bool Has(NodeIdentity node, X509Certificate2 certificate) => _before.TryGetValue(node, out var moment) && CertificateMaker.MadeAt(certificate) < moment;

    /// <summary>The file.</summary>
    public override string ToString() => string.Concat(
        _before.OrderBy(entry => entry.Key.Uri, StringComparer.Ordinal).Select(entry => $"{entry.Key.Uri} {entry.Value.UtcDateTime.ToString(TimeFormat, CultureInfo.InvariantCulture)}\n"));
}
