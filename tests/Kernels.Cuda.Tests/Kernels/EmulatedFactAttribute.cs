using Grok1Cluster.Kernels.Cuda.Tests.Emulator;

namespace Grok1Cluster.Kernels.Cuda.Tests.Kernels;

/// <summary>A fact that runs kernels on the emulator; skipped, with a line that says so, where no C++ compiler is.</summary>
public sealed class EmulatedFactAttribute : FactAttribute
{
    public EmulatedFactAttribute() => Skip = Emulation.Missing;
}

/// <summary>A theory that runs kernels on the emulator.</summary>
public sealed class EmulatedTheoryAttribute : TheoryAttribute
{
    public EmulatedTheoryAttribute() => Skip = Emulation.Missing;
}

internal static class Emulation
{
    /// <summary>Why there is no emulator here, or null.</summary>
    public static string? Missing => KernelLibrary.Compiler is null ? "needs a C++ compiler (Debian: apt-get install g++)" : null;
}
