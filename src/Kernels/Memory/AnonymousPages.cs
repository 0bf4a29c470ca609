using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Memory;

/// <summary>
/// Zeroed memory straight from the Linux kernel, aligned to and advised for huge pages of 2 MiB. A core that streams
/// weights through pages of 4 KiB misses its TLB every 64 lines; in a virtual machine whose host keeps shadow page
/// tables the first look at each such page after a pause costs a fault in the host (docs/performance.md has figures).
/// </summary>
internal static unsafe partial class AnonymousPages
{
    /// <summary>Below this nothing is gained, and rounding up to whole pages would waste.</summary>
    public const long LeastBytes = 4 << 20;

    private const nuint HugePage = 2 << 20;
    private const int ProtectRead = 1, ProtectWrite = 2, MapPrivate = 2, MapAnonymous = 0x20, AdviseHugePage = 14;

    public static bool Offered(nuint bytes) => OperatingSystem.IsLinux() && bytes >= (nuint)LeastBytes;

    /// <exception cref="OutOfMemoryException">The kernel has no room.</exception>
    public static void* Allocate(nuint bytes)
    {
        var length = Rounded(bytes);
        // One huge page more, so that an aligned start lies inside; what is before and after it is given back.
        var start = Map(null, checked(length + HugePage), ProtectRead | ProtectWrite, MapPrivate | MapAnonymous, -1, 0);
        if (start == -1)
            throw new OutOfMemoryException($"the kernel has no room for {bytes} bytes");
        var aligned = ((nuint)start + HugePage - 1) & ~(HugePage - 1);
        var before = aligned - (nuint)start;
        if (before > 0)
            _ = Unmap((void*)start, before);
        if (before < HugePage)
            _ = Unmap((void*)(aligned + length), HugePage - before);
        // A kernel without huge pages refuses the advice; the memory is as good without.
        _ = Advise((void*)aligned, length, AdviseHugePage);
        return (void*)aligned;
    }

    public static void Free(void* start, nuint bytes) => _ = Unmap(start, Rounded(bytes));

    private static nuint Rounded(nuint bytes) => checked(bytes + HugePage - 1) & ~(HugePage - 1);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Map(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
