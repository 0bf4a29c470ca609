using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Grok1Cluster.Cluster.Files;

namespace Grok1Cluster.Cluster.Security;

/// <summary>
/// Certificates and keys on disk. A certificate and its key share one file, so that renaming exchanges both at once; what holds a
/// key is for its owner alone.
/// </summary>
public static class PemFiles
{
    /// <summary>More than any bundle of CAs takes.</summary>
    private const int MaxBytes = 1 << 20;

    private const int MaxCertificates = 64;
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode Everybody = UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <summary>Makes a directory that only its owner can look into; one that is there stays as it is.</summary>
    public static void CreateDirectory(string path) => Guard(path, () => OperatingSystem.IsWindows()
        ? Directory.CreateDirectory(path)
        : Directory.CreateDirectory(path, OwnerOnly | UnixFileMode.UserExecute));

    /// <summary>A certificate with its key.</summary>
    /// <exception cref="CredentialsException">There is none, or everybody on the machine can read it.</exception>
    public static X509Certificate2 ReadKeyPair(string path)
    {
        var text = ReadText(path);
        CheckPrivate(path);
        return ParseKeyPair(text, path);
    }

    /// <summary>A certificate whose key may be in a file of its own, with the certificates that stand behind it in its file.</summary>
    /// <exception cref="CredentialsException">There is none, or everybody on the machine can read the key.</exception>
    public static SslStreamCertificateContext ReadKeyPair(string certificatePath, string keyPath)
    {
        var (chain, key) = (ReadText(certificatePath), ReadText(keyPath));
        CheckPrivate(keyPath);
        return Parse(keyPath, () =>
        {
            using var pair = X509Certificate2.CreateFromPem(chain, key);
            var others = new X509Certificate2Collection();
            others.ImportFromPem(chain);
            return SslStreamCertificateContext.Create(new X509Certificate2(pair), others, offline: true);
        });
    }

    /// <summary>The CAs of a bundle.</summary>
    /// <exception cref="CredentialsException">There is none.</exception>
    public static X509Certificate2Collection ReadBundle(string path) => ParseBundle(ReadText(path), path);

    /// <param name="name">Where the text comes from, for errors.</param>
    /// <inheritdoc cref="ReadKeyPair" path="/exception"/>
    internal static X509Certificate2 ParseKeyPair(string text, string name) => Parse(name, () => X509Certificate2.CreateFromPem(text, text));

    /// <param name="name">Where the text comes from, for errors.</param>
    /// <inheritdoc cref="ReadBundle" path="/exception"/>
    internal static X509Certificate2Collection ParseBundle(string text, string name) => Parse(name, () =>
    {
        var bundle = new X509Certificate2Collection();
        bundle.ImportFromPem(text);
        return bundle.Count is > 0 and <= MaxCertificates ? bundle : throw new CredentialsException($"{name} has {bundle.Count} certificates instead of 1 to {MaxCertificates}");
    });

    /// <summary>Writes a certificate and its key (PKCS#8), for the owner alone.</summary>
    /// <param name="overwrite">Whether a file that is there may be replaced.</param>
    /// <exception cref="CredentialsException">It is there and may not.</exception>
    public static void WriteKeyPair(string path, X509Certificate2 certificate, bool overwrite)
    {
        using var key = certificate.GetECDsaPrivateKey() ?? throw new ArgumentException("the certificate has no ECDSA key", nameof(certificate));
        Write(path, $"{certificate.ExportCertificatePem()}\n{key.ExportPkcs8PrivateKeyPem()}\n", overwrite);
    }

    /// <summary>Writes a bundle of CAs.</summary>
    /// <inheritdoc cref="WriteKeyPair" path="/exception"/>
    public static void WriteBundle(string path, IEnumerable<X509Certificate2> authorities, bool overwrite) =>
        Write(path, string.Concat(authorities.Select(authority => authority.ExportCertificatePem() + "\n")), overwrite);

    /// <summary>Writes aside, then renames, so that a reader never sees half a file.</summary>
    internal static void Write(string path, string text, bool overwrite) => Guard(path, () =>
    {
        var aside = $"{path}.{Environment.ProcessId}.tmp";
        File.Delete(aside);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = OwnerOnly;
        try
        {
            using (var writer = new StreamWriter(aside, options))
                writer.Write(text);
            if (!overwrite && File.Exists(path))
                throw new CredentialsException($"{path} is there already; --force replaces it");
            File.Move(aside, path, overwrite);
        }
        finally
        {
            File.Delete(aside);
        }
        return path;
    });

    internal static string ReadText(string path) => Guard(path, () => Encoding.UTF8.GetString(BoundedFile.Read(path, MaxBytes, "certificate")));

    private static void CheckPrivate(string path)
    {
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & Everybody) != 0)
            throw new CredentialsException($"{path} holds a private key and everybody on this machine can read it; chmod 600 {path}");
    }

    private static T Guard<T>(string path, Func<T> use)
    {
        try
        {
            return use();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CredentialsException($"{path} does not exist; grok1 certs makes it (grok1 certs --help)", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CredentialsException($"{path}: {e.Message}", e);
        }
    }

    private static T Parse<T>(string name, Func<T> parse)
    {
        try
        {
            return parse();
        }
        // What a file asks of the platform and it does not have, such as a curve of its own making, is a fault of the file.
        catch (Exception e) when (e is CryptographicException or ArgumentException or PlatformNotSupportedException)
        {
            throw new CredentialsException($"{name} has no certificate with its key in PEM that can be read: {e.Message}", e);
        }
    }
}
