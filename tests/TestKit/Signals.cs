using System.Runtime.InteropServices;

namespace Grok1Cluster.TestKit;

/// <summary>Signals by their Linux numbers, those included that no process can catch.</summary>
public static partial class Signals
{
    /// <exception cref="InvalidOperationException">There is no such process.</exception>
    public static void Send(int process, int signal)
    {
        if (Kill(process, signal) != 0)
            throw new InvalidOperationException($"process {process} cannot be signalled: it is gone");
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
