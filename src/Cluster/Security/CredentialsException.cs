namespace Grok1Cluster.Cluster.Security;

/// <summary>Certificates, keys or tokens that cannot be used as they are. The message is one line; the command line ends with exit code 2.</summary>
public sealed class CredentialsException : Exception
{
    public CredentialsException(string message) : base(message) { }

    public CredentialsException(string message, Exception inner) : base(message, inner) { }
}
