using Grok1Cluster.Kernels.Diagnostics;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Tests.MatMul;

/// <summary>The probes give numbers that a machine can have.</summary>
public class ProbeTests
{
    [Fact]
    public void The_bandwidth_probe_measures_a_plausible_rate()
    {
        using var pool = new ComputePool(2, spin: false);
        using var probe = new ReadBandwidth(pool, 64 << 20);
        Assert.InRange(probe.Pass(), 0.01, 10_000);
    }

    [Fact]
    public unsafe void The_bandwidth_probe_reads_whole_parts_of_memory_that_is_there()
    {
        using var pool = new ComputePool(2, spin: false);
        using var memory = new NativeBuffer<byte>(20 << 20);
        var start = (nint)memory.Pointer;
        // Nine MiB have two parts of four, three have none; of the last eleven MiB the limit leaves one part.
        using var probe = new ReadBandwidth(pool, [(start, 9 << 20), (start, 3 << 20), (start + (9 << 20), 11 << 20)], 12 << 20);
        Assert.Equal(12 << 20, probe.Bytes);
        Assert.InRange(probe.Pass(), 0.01, 10_000);
        Assert.Throws<ArgumentException>(() => new ReadBandwidth(pool, [(start, 3 << 20)], 12 << 20));
    }

    [Fact]
    public void The_peak_probe_measures_a_plausible_rate_where_there_is_AVX_VNNI()
    {
        using var pool = new ComputePool(2, spin: false);
        if (Int8Peak.IsSupported)
            Assert.InRange(new Int8Peak(pool).Pass(), 1, 1_000_000);
        else
            Assert.Throws<PlatformNotSupportedException>(() => new Int8Peak(pool));
    }
}
