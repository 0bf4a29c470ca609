using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Grok1Cluster.Cluster.Security.Enrolment;

/// <summary>
/// What a machine needs to get its certificate, as one word to paste: which token it is, the secret that proves it, and the hash of
/// the CA's certificate, by which the machine knows that it talks to the right service before it says the secret.
/// </summary>
public sealed class JoinToken
{
    /// <summary>Bytes of <see cref="Id"/>.</summary>
    public const int IdBytes = 8;

    /// <summary>Bytes of <see cref="Secret"/>.</summary>
    public const int SecretBytes = 32;

    private const string Prefix = "grok1-join-";
    private const int Bytes = IdBytes + SecretBytes + SHA256.HashSizeInBytes;

    private readonly byte[] _bytes;

    private JoinToken(byte[] bytes) => _bytes = bytes;

    /// <summary>Which token: no secret.</summary>
    public ReadOnlyMemory<byte> Id => _bytes.AsMemory(0, IdBytes);

    /// <summary>What only its holder knows.</summary>
    public ReadOnlyMemory<byte> Secret => _bytes.AsMemory(IdBytes, SecretBytes);

    private ReadOnlySpan<byte> AuthorityHash => _bytes.AsSpan(IdBytes + SecretBytes);

    /// <summary>A new token for whoever trusts this CA.</summary>
    public static JoinToken Create(X509Certificate2 authority) =>
        new([.. RandomNumberGenerator.GetBytes(IdBytes + SecretBytes), .. SHA256.HashData(authority.RawDataMemory.Span)]);

    /// <summary>Reads <see cref="Text"/>.</summary>
    public static bool TryParse(string text, [MaybeNullWhen(false)] out JoinToken token)
    {
        token = null;
        var bytes = new byte[Bytes];
        if (text.Length != Prefix.Length + Base64Url.GetEncodedLength(Bytes) || !text.StartsWith(Prefix, StringComparison.Ordinal)
            || !Base64Url.TryDecodeFromChars(text.AsSpan(Prefix.Length), bytes, out var written) || written != Bytes)
            return false;
        token = new JoinToken(bytes);
        return true;
    }

    /// <summary>The word to paste; a secret. (There is no ToString, so that it gets into no log by accident.)</summary>
    public string Text() => Prefix + Base64Url.EncodeToString(_bytes);

    /// <summary>Whether this is the CA that the token was made with.</summary>
    public bool IsFor(ReadOnlySpan<byte> authority) => CryptographicOperations.FixedTimeEquals(SHA256.HashData(authority), AuthorityHash);
}
