using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Tests;

public class CpuSetTests
{
    [Theory]
    [InlineData("0", new[] { 0 })]
    [InlineData("0-3,8", new[] { 0, 1, 2, 3, 8 })]
    [InlineData("5,1-2\n", new[] { 5, 1, 2 })]
    public void A_list_names_its_cpus(string text, int[] cpus)
    {
        Assert.True(CpuSet.TryParse(text, out var set));
        Assert.Equal(cpus, set.Cpus);
    }

    [Theory]
    [InlineData("")]
    [InlineData("3-1")]
    [InlineData("0,0")]
    [InlineData("1-")]
    [InlineData("-1")]
    [InlineData("0-1-2")]
    [InlineData("1024")]
    [InlineData("0-99999999999")]
    public void What_is_not_a_list_of_cpus_is_refused(string text) => Assert.False(CpuSet.TryParse(text, out _));

    [Fact]
    public void A_restricted_thread_runs_on_its_cpu_and_nowhere_else()
    {
        if (!OperatingSystem.IsLinux())
            return;
        var last = Environment.ProcessorCount - 1;
        var seen = -1;
        CpuSet? allowed = null;
        var thread = new Thread(() =>
        {
            CpuAffinity.RestrictThread(new CpuSet([last]));
            seen = Thread.GetCurrentProcessorId();
            allowed = CpuAffinity.Allowed();
        });
        thread.Start();
        thread.Join();
        Assert.Equal(last, seen);
        Assert.Equal([last], allowed!.Cpus);
    }

    [Fact]
    public void A_cpu_that_does_not_exist_is_refused() =>
        Assert.Contains("1023", Assert.Throws<IOException>(() => CpuAffinity.RestrictThread(new CpuSet([1023]))).Message);

    [Fact]
    public void Every_cpu_belongs_to_one_node()
    {
        var cpus = NumaNode.All().SelectMany(node => node.Cpus.Cpus).ToArray();
        Assert.Equal(cpus.Distinct(), cpus);
    }

    [Fact]
    public unsafe void A_large_buffer_is_zero_aligned_and_given_back()
    {
        for (var round = 0; round < 3; round++)
        {
            using var buffer = new NativeBuffer<long>(1 << 20);
            Assert.Equal(0u, (nuint)buffer.Pointer % 64);
            Assert.Equal(-1, buffer.Span.IndexOfAnyExcept(0L));
            buffer.Span.Fill(-1);
        }
    }
}
