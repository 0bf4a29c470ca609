using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.MachineCode;

/// <summary>Instructions that were written at run time, in pages that can be executed and no longer written. Never freed.</summary>
internal static unsafe partial class ExecutableCode
{
    private const int ProtectRead = 1, ProtectWrite = 2, ProtectExecute = 4, MapPrivate = 2, MapAnonymous = 0x20;
    private const byte Return = 0xC3;

    /// <summary>Whether the system lets a process make code: a hardened one may not.</summary>
    public static bool IsAllowed { get; } = TryMake([Return], out _);

    /// <summary>Puts instructions where they can be called.</summary>
    /// <exception cref="InvalidOperationException">The system does not allow it; see <see cref="IsAllowed"/>.</exception>
    public static void* Make(ReadOnlySpan<byte> instructions) => TryMake(instructions, out var start)
        ? start
        : throw new InvalidOperationException($"the system does not let this process make code: {Marshal.GetLastPInvokeErrorMessage()}");

    private static bool TryMake(ReadOnlySpan<byte> instructions, out void* start)
    {
        var length = (nuint)instructions.Length;
        start = (void*)Map(null, length, ProtectRead | ProtectWrite, MapPrivate | MapAnonymous, -1, 0);
        if ((nint)start == -1)
            return false;
        instructions.CopyTo(new Span<byte>(start, instructions.Length));
        if (Protect(start, length, ProtectRead | ProtectExecute) == 0)
            return true;
        _ = Unmap(start, length);
        return false;
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    private static partial int Protect(void* start, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* start, nuint length);
}
