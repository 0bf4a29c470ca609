using System.Text;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>
/// A user of etcd, and the token that etcd gave for its password. All clients of a process share the token, and it is kept until
/// etcd refuses it, whatever happens to connections: a check of a password costs etcd much, and all processes lose etcd at the same moment.
/// Thread-safe.
/// </summary>
public sealed class EtcdUser
{
    private const int LongestPassword = 1024, LongestToken = 8 << 10;

    private readonly string _file;
    // Not disposed: it holds nothing while nobody waits for a handle.
    private readonly SemaphoreSlim _asking = new(1);
    private volatile string? _token;

    private EtcdUser(string name, string file) => (Name, _file) = (name, file);

    public string Name { get; }

    /// <summary>The token in use; null: none was asked for yet. Empty: etcd asks nobody who calls.</summary>
    internal string? Token => _token;

    /// <param name="name">As etcd knows it.</param>
    /// <param name="file">Has the password, alone; read again whenever a token is asked for.</param>
    /// <exception cref="CredentialsException">The file has no password; the message never has what it has.</exception>
    public static EtcdUser OfFile(string name, string file)
    {
        var user = new EtcdUser(name, file);
        user.ReadPassword();
        return user;
    }

    /// <summary>Whether etcd refused a token for its age, so that another one will do: it ended, etcd forgot it at a restart, or users changed since.</summary>
    internal static bool IsOld(RpcException fault) => fault switch
    {
        { Code: GrpcStatusCode.Unauthenticated } => true,
        { Code: GrpcStatusCode.InvalidArgument } => fault.Message.Contains("revision of auth store is old", StringComparison.Ordinal) || AsksForUser(fault),
        _ => false,
    };

    /// <summary>Whether etcd wants to know who is calling, and was not told.</summary>
    internal static bool AsksForUser(RpcException fault) =>
        fault.Code == GrpcStatusCode.InvalidArgument && fault.Message.Contains("user name is empty", StringComparison.Ordinal);

    /// <summary>The token for the next call.</summary>
    /// <param name="refused">One that etcd took no more; null: none.</param>
    /// <param name="authenticate">Asks etcd for one for a password; an empty one where etcd asks nobody who it is.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="CredentialsException">The file has no password any more.</exception>
    /// <exception cref="RpcException">etcd refused, does not answer, or sent something that is no token.</exception>
    internal async Task<string> TokenAsync(string? refused, Func<string, CancellationToken, Task<string>> authenticate, CancellationToken cancel)
    {
        if (_token is { } known && known != refused)
            return known;
        await _asking.WaitAsync(cancel);
        try
        {
            if (_token is { } other && other != refused)
                return other;
            var token = await authenticate(ReadPassword(), cancel);
            if (token.Length > LongestToken || token.AsSpan().ContainsAnyExceptInRange('!', '~'))
                throw new RpcException(GrpcStatusCode.Unavailable, "what it sent is no token");
            return _token = token;
        }
        finally
        {
            _asking.Release();
        }
    }

    private string ReadPassword()
    {
        try
        {
            using var stream = File.OpenRead(_file);
            var bytes = new byte[LongestPassword + 1];
            var length = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            var password = Encoding.UTF8.GetString(bytes, 0, length).TrimEnd('\r', '\n');
            if (length > LongestPassword || password.Length == 0 || password.Any(char.IsControl))
                throw new CredentialsException($"{_file} has no password of etcd's user {Name}: it is one line of at most {LongestPassword} bytes");
            return password;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CredentialsException($"the password of etcd's user {Name} cannot be read: {e.Message}", e);
        }
    }
}
