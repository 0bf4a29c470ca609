using Grok1Cluster.Cluster.Costs;

namespace Grok1Cluster.Cluster.Tests.Costs;

public sealed class TouchedExpertsTests
{
    [Fact]
    public void One_token_touches_two_of_eight_experts_and_two_tokens_three_and_a_half()
    {
        Assert.Equal(2, TouchedExperts.Expected(8, 2, 1), 12);
        Assert.Equal(3.5, TouchedExperts.Expected(8, 2, 2), 12);
        Assert.Equal(8, TouchedExperts.Expected(8, 2, 1000), 12);
    }

    [Fact]
    public void One_token_touches_every_pair_equally_often()
    {
        var sets = TouchedExperts.Sets(4, 2, 1);
        Assert.Equal(["0,1", "0,2", "1,2", "0,3", "1,3", "2,3"], sets.Select(set => string.Join(",", set.Experts)));
        Assert.All(sets, set => Assert.Equal(1.0 / 6, set.Probability, 12));
    }

    [Fact]
    public void Two_tokens_touch_two_three_or_four_of_four_experts_with_the_chances_computed_by_hand()
    {
        // The second token takes the first one's pair in 1 of 6 cases, the opposite pair in 1, one of each in 4.
        var ofSize = TouchedExperts.Sets(4, 2, 2).GroupBy(set => set.Experts.Length).ToDictionary(size => size.Key, size => size.Sum(set => set.Probability));
        Assert.Equal(1.0 / 6, ofSize[2], 12);
        Assert.Equal(4.0 / 6, ofSize[3], 12);
        Assert.Equal(1.0 / 6, ofSize[4], 12);
    }

    [Theory]
    [InlineData(8, 2, 1)]
    [InlineData(8, 2, 5)]
    [InlineData(10, 3, 4)]
    [InlineData(8, 8, 3)]
    [InlineData(1, 1, 7)]
    public void All_sets_together_are_certain_and_agree_with_the_expected_number(int experts, int perToken, int tokens)
    {
        var sets = TouchedExperts.Sets(experts, perToken, tokens);
        Assert.Equal(1, sets.Sum(set => set.Probability), 9);
        Assert.Equal(TouchedExperts.Expected(experts, perToken, tokens), sets.Sum(set => set.Probability * set.Experts.Length), 9);
    }

    [Fact]
    public void Many_experts_are_sampled_the_same_way_every_time_and_near_the_expected_number()
    {
        var (first, second) = (TouchedExperts.Sets(64, 6, 8), TouchedExperts.Sets(64, 6, 8));
        Assert.Equal(first.Select(set => string.Join(",", set.Experts)), second.Select(set => string.Join(",", set.Experts)));
        Assert.Equal(1, first.Sum(set => set.Probability), 9);
        Assert.InRange(first.Sum(set => set.Probability * set.Experts.Length) / TouchedExperts.Expected(64, 6, 8), 0.98, 1.02);
    }

    [Fact]
    public void The_chance_to_need_a_worker_follows_from_the_experts_that_it_holds()
    {
        Assert.Equal(0.25, TouchedExperts.ChanceOfAny(1, 8, 2), 12);
        Assert.Equal(1 - 15.0 / 28, TouchedExperts.ChanceOfAny(2, 8, 2), 12);
        Assert.Equal(1, TouchedExperts.ChanceOfAny(7, 8, 2), 12);
    }
}
