using System.Net.Sockets;

namespace Grok1Cluster.Grpc.Server;

/// <summary>The file that a killed process leaves where its Unix socket was, and that would keep the next one from listening there.</summary>
internal static class StaleUnixSocket
{
    /// <summary>Removes the socket file at <paramref name="path"/> if nothing listens on it. Any other file, and a socket in use, stays.</summary>
    public static void Remove(string path)
    {
        if (!File.Exists(path))
            return;
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException refused) when (refused.SocketErrorCode == SocketError.ConnectionRefused && IsSocket(path))
        {
            File.Delete(path);
        }
        catch (SocketException)
        {
            // Not ours to remove: listening will say what is wrong with the path.
        }
    }

    /// <summary>Connecting to an ordinary file is refused too, but only a socket cannot be opened as a file.</summary>
    private static bool IsSocket(string path)
    {
        try
        {
            File.OpenHandle(path).Dispose();
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }
}
