using Grok1Cluster.Kernels.Diagnostics;
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
    public void The_peak_probe_measures_a_plausible_rate_where_there_is_AVX_VNNI()
    {
        using var pool = new ComputePool(2, spin: false);
        if (Int8Peak.IsSupported)
            Assert.InRange(new Int8Peak(pool).Pass(), 1, 1_000_000);
        else
            Assert.Throws<PlatformNotSupportedException>(() => new Int8Peak(pool));
    }
}
