using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace Grok1Cluster.Grpc.Server;

/// <summary>Why nothing can listen at an address, as a person is told: which address, why, and what to do.</summary>
public static class ListenFault
{
    /// <param name="address">As it was asked for.</param>
    /// <param name="fault">What the system said, or Kestrel.</param>
    /// <param name="flags">Flags that name the address; empty where they are not known.</param>
    /// <returns>With the fault inside, which decides the exit code; null: the fault is another.</returns>
    public static IOException? Of(string address, Exception fault, params IReadOnlyList<string> flags)
    {
        var another = flags.Count == 0 ? "" : $" ({string.Join(", ", flags)})";
        var why = fault switch
        {
            SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse } or IOException { InnerException: AddressInUseException } =>
                $"it is in use; end what listens there, or take another{another}",
            // What the runtime makes of a directory that is not there.
            SocketException { SocketErrorCode: SocketError.AddressNotAvailable } when address.StartsWith("unix:", StringComparison.Ordinal) =>
                $"its directory does not exist; make it, or take another{another}",
            SocketException { SocketErrorCode: SocketError.AddressNotAvailable } => $"this machine has no such address; take one of its own{another}",
            SocketException { SocketErrorCode: SocketError.AccessDenied } =>
                $"the system does not allow it to this user; take another{(address.StartsWith("unix:", StringComparison.Ordinal) ? "" : ", ports from 1024 on are for everybody")}{another}",
            SocketException other => $"{other.Message}; take another{another}",
            _ => null,
        };
        return why is null ? null : new IOException($"cannot listen on {address}: {why}", fault);
    }
}
