using Grok1Cluster.Coordinator.Local;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Coordinator.Tests.Local;

public class CpuSharesTests
{
    [Theory]
    [InlineData("0-1", 2, 2, "0 1")]
    [InlineData("2,5,7-8", 2, 4, "2,5 7,8")]
    [InlineData("0-7", 3, 8, "0,1 2,3 4,5")]
    public void Workers_that_fill_the_machine_have_cpus_of_their_own(string allowed, int workers, int threads, string shares)
    {
        Assert.True(CpuSet.TryParse(allowed, out var cpus));
        Assert.Equal(shares.Split(' '), CpuShares.Of(cpus, workers, threads).Select(share => share.ToString()));
    }

    [Theory]
    [InlineData("0-7", 1, 8)]
    [InlineData("0-1", 3, 2)]
    [InlineData("0-7", 2, 4)]
    [InlineData("0-63", 2, 4)]
    public void Others_are_left_to_the_system(string allowed, int workers, int threads)
    {
        Assert.True(CpuSet.TryParse(allowed, out var cpus));
        Assert.Empty(CpuShares.Of(cpus, workers, threads));
    }

    [Fact]
    public void Where_the_system_does_not_say_which_cpus_there_are_nothing_is_shared_out() => Assert.Empty(CpuShares.Of(null, 2, 2));
}
