using System.Security.Cryptography;
using System.Text.Json;

namespace Grok1Cluster.Cluster.Security.Enrolment;

/// <summary>What a token was made for.</summary>
/// <param name="Identity">Whose certificate it gets.</param>
/// <param name="Hosts">The names and addresses in it; empty: the address that the machine calls from.</param>
/// <param name="CertificateDays">How long the certificate is good.</param>
public sealed record TokenGrant(NodeIdentity Identity, IReadOnlyList<string> Hosts, int CertificateDays);

/// <summary>
/// The tokens that were given out and not used, a file for each beside the CA, with the hash of the secret instead of the secret. A
/// token is good once, until it expires or was tried with a wrong secret too often. One process takes tokens at a time; others may add.
/// </summary>
public sealed class TokenStore(string authorityDirectory, TimeProvider time)
{
    /// <summary>Wrong secrets that a token survives.</summary>
    public const int MaxTries = 5;

    private const int MaxFileBytes = 16 << 10;

    private static readonly JsonSerializerOptions Format = new(JsonSerializerOptions.Strict) { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, MaxDepth = 3 };

    private readonly Lock _gate = new();
    private readonly string _directory = Path.Combine(authorityDirectory, "tokens");

    /// <summary>Remembers a token.</summary>
    /// <exception cref="CredentialsException">The identity or a host cannot be in a certificate, or the file cannot be written.</exception>
    public void Add(JoinToken token, TokenGrant grant, TimeSpan lifetime)
    {
        if (!NodeIdentity.IsId(grant.Identity.Id))
            throw new CredentialsException($"'{grant.Identity.Id}' cannot be an id: 1 to 64 letters, digits, '.', '_' or '-'");
        // What cannot be in a certificate is said now, and not to the machine that joins.
        CertificateNames.Extension(grant.Identity, grant.Hosts);
        PemFiles.CreateDirectory(_directory);
        Write(PathOf(token.Id.Span), new TokenFile(
            grant.Identity.Uri, [.. grant.Hosts], grant.CertificateDays, time.GetUtcNow() + lifetime, Convert.ToHexStringLower(SHA256.HashData(token.Secret.Span)), MaxTries));
    }

    /// <summary>Uses a token up; null where it is unknown, used, expired or the secret is wrong.</summary>
    public TokenGrant? Take(ReadOnlySpan<byte> id, ReadOnlySpan<byte> secret)
    {
        if (id.Length != JoinToken.IdBytes || secret.Length != JoinToken.SecretBytes)
            return null;
        lock (_gate)
        {
            var path = PathOf(id);
            if (Read(path) is not { } file)
                return null;
            if (file.Expires <= time.GetUtcNow())
            {
                File.Delete(path);
                return null;
            }
            if (!CryptographicOperations.FixedTimeEquals(SHA256.HashData(secret), Convert.FromHexString(file.SecretSha256)))
            {
                if (file.TriesLeft <= 1)
                    File.Delete(path);
                else
                    Write(path, file with { TriesLeft = file.TriesLeft - 1 });
                return null;
            }
            // Used up before the certificate is made: no fault afterwards makes it good twice.
            File.Delete(path);
            return NodeIdentity.TryParse(file.Identity, out var identity) ? new TokenGrant(identity, file.Hosts, file.CertificateDays) : null;
        }
    }

    private string PathOf(ReadOnlySpan<byte> id) => Path.Combine(_directory, $"{Convert.ToHexStringLower(id)}.json");

    private static void Write(string path, TokenFile file) => PemFiles.Write(path, JsonSerializer.Serialize(file, Format), overwrite: true);

    private static TokenFile? Read(string path)
    {
        if (!File.Exists(path) || new FileInfo(path).Length > MaxFileBytes)
            return null;
        try
        {
            return JsonSerializer.Deserialize<TokenFile>(File.ReadAllBytes(path), Format) is { SecretSha256.Length: 2 * SHA256.HashSizeInBytes } file
                && file.SecretSha256.All(char.IsAsciiHexDigit) ? file : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private sealed record TokenFile(string Identity, string[] Hosts, int CertificateDays, DateTimeOffset Expires, string SecretSha256, int TriesLeft);
}
