using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>
/// Receiving that waits beside sending that does not, on one socket. The runtime's own calls do both or neither, and to wait by
/// <c>poll</c> before each receive costs every message a system call. For TCP: through a Unix socket who polls is woken sooner.
/// </summary>
internal static partial class LinuxSocket
{
    private const int GetFlags = 3, SetFlags = 4, NonBlocking = 0x800;
    private const int DontWait = 0x40, NoSignal = 0x4000;
    private const int Interrupted = 4, WouldBlock = 11, NoBuffers = 105;

    /// <summary>Lets <see cref="Receive"/> wait; null where it is another system or another kind of socket. What waits ends when the socket is shut down.</summary>
    public static SafeSocketHandle? Prepare(Socket socket)
    {
        if (!OperatingSystem.IsLinux() || socket.AddressFamily == AddressFamily.Unix)
            return null;
        var handle = socket.SafeHandle;
        var flags = FileControl(handle, GetFlags, 0);
        return flags >= 0 && FileControl(handle, SetFlags, flags & ~NonBlocking) == 0 ? handle : null;
    }

    /// <summary>Takes bytes; 0 at the end of the connection, null where there are none and it is not to wait.</summary>
    /// <exception cref="IOException">The connection is broken.</exception>
    public static unsafe int? Receive(SafeSocketHandle socket, Span<byte> to, bool wait)
    {
        while (true)
        {
            nint received;
            fixed (byte* bytes = to)
                received = Receive(socket, bytes, (nuint)to.Length, wait ? 0 : DontWait);
            if (received >= 0)
                return (int)received;
            if (Marshal.GetLastPInvokeError() is var error && error == WouldBlock && !wait)
                return null;
            if (error is not (Interrupted or WouldBlock))
                throw Broken(error);
        }
    }

    /// <summary>Gives bytes away without waiting; returns how many were taken.</summary>
    /// <exception cref="IOException">The connection is broken.</exception>
    public static unsafe int Send(SafeSocketHandle socket, ReadOnlySpan<byte> from)
    {
        while (true)
        {
            nint sent;
            fixed (byte* bytes = from)
                sent = Send(socket, bytes, (nuint)from.Length, DontWait | NoSignal);
            if (sent >= 0)
                return (int)sent;
            if (Marshal.GetLastPInvokeError() is var error && error is WouldBlock or NoBuffers)
                return 0;
            if (error != Interrupted)
                throw Broken(error);
        }
    }

    private static IOException Broken(int error) => new($"the connection is broken: {Marshal.GetPInvokeErrorMessage(error)}");

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int FileControl(SafeHandle socket, int command, int argument);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    private static unsafe partial nint Receive(SafeHandle socket, byte* to, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    private static unsafe partial nint Send(SafeHandle socket, byte* from, nuint length, int flags);
}
