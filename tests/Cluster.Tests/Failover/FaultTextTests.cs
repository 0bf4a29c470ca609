using Grok1Cluster.ExpertWorker.Faults;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>What <c>--fault</c> takes, and which calls it meets.</summary>
public sealed class FaultTextTests
{
    [Theory]
    [InlineData("delay=200ms")]
    [InlineData("delay=10x,after=500")]
    [InlineData("stall=5000ms,after=3,times=1")]
    [InlineData("crash,after=50,worker=worker-1")]
    [InlineData("corrupt,every=100")]
    [InlineData("wrong,chance=0.25")]
    [InlineData("nan,times=2")]
    public void A_fault_is_read_and_said_in_the_same_words(string text)
    {
        Assert.True(FaultText.TryParse(text, out var rules));
        Assert.Equal(text, FaultText.Describe(Assert.Single(rules)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("slow")]
    [InlineData("1")]
    [InlineData("delay")]
    [InlineData("delay=-1ms")]
    [InlineData("delay=0.5x")]
    [InlineData("delay=200")]
    [InlineData("corrupt=1")]
    [InlineData("corrupt,every=0")]
    [InlineData("corrupt,chance=2")]
    [InlineData("corrupt,sometimes")]
    [InlineData("corrupt+")]
    [InlineData("stall=99999999999s")]
    public void What_is_no_fault_is_refused(string text) => Assert.False(FaultText.TryParse(text, out _));

    [Fact]
    public void Several_faults_are_joined_and_those_of_another_worker_are_left_out()
    {
        Assert.True(FaultText.TryParse("nan,after=2 + drop,worker=worker-7", out var rules));
        Assert.Equal(2, rules.Length);
        using var mine = FaultInjector.Create(rules, "worker-7", seed: 1);
        using var other = FaultInjector.Create(rules, "worker-6", seed: 1);
        Assert.Equal("nan,after=2 + drop,worker=worker-7", mine!.Description);
        Assert.Equal("nan,after=2", other!.Description);
        Assert.Null(FaultInjector.Create([rules[1]], "worker-6", seed: 1));
    }
}
