using System.Diagnostics;
using System.Numerics;
using System.Runtime.Intrinsics.X86;

namespace Grok1Cluster.Kernels.Tests;

/// <summary>
/// The code for processors without AVX: which code runs is decided when a process starts, so these tests run all tests of
/// this assembly again in a process whose environment switches AVX off.
/// </summary>
public class Vector128Tests
{
    private const string Marker = "GROK1_TESTS_WITHOUT_AVX";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    private static bool IsChild => Environment.GetEnvironmentVariable(Marker) == "1";

    [Fact]
    public async Task All_kernel_tests_pass_with_AVX_switched_off()
    {
        if (IsChild || !Avx.IsSupported)
            return; // This process is the one without AVX.
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", ["vstest", typeof(Vector128Tests).Assembly.Location])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { [Marker] = "1", ["DOTNET_EnableAVX"] = "0" },
        };
        using var process = Process.Start(start)!;
        using var timeout = new CancellationTokenSource(Limit);
        var output = process.StandardOutput.ReadToEndAsync(timeout.Token);
        var errors = process.StandardError.ReadToEndAsync(timeout.Token);
        try
        {
            await process.WaitForExitAsync(timeout.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
        Assert.True(process.ExitCode == 0, await output + await errors);
        Assert.Contains("Passed", await output);
    }

    [Fact]
    public void The_process_without_AVX_uses_vectors_of_128_bits()
    {
        if (!IsChild)
            return; // Says something only of that process.
        Assert.False(Avx.IsSupported);
        Assert.Equal(4, Vector<float>.Count);
        Assert.Equal("vector128", CpuFeatures.InstructionSet);
    }
}
