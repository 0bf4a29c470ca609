using Grok1Cluster.Engine.Sampling;

namespace Grok1Cluster.Engine.Tests.Sampling;

public class SamplingOptionsTests
{
    [Fact]
    public void The_defaults_and_the_ends_of_every_range_are_accepted()
    {
        Assert.Empty(new SamplingOptions().FindErrors());
        Assert.Empty(new SamplingOptions { Temperature = 0, TopP = float.Epsilon, RepetitionPenalty = float.Epsilon }.FindErrors());
        Assert.Empty(new SamplingOptions { Temperature = 100, TopK = int.MaxValue, TopP = 1, MinP = 1, RepetitionPenalty = 100 }.FindErrors());
    }

    [Fact]
    public void All_errors_are_listed_at_once()
    {
        var options = new SamplingOptions { Temperature = -1, TopK = -1, TopP = 0, MinP = 1.5f, RepetitionPenalty = 0 };
        string[] expected =
        [
            "temperature must be from 0 to 100, not -1",
            "top-k must be 0 (off) or more, not -1",
            "top-p must be above 0 and at most 1, not 0",
            "min-p must be from 0 to 1, not 1.5",
            "repetition penalty must be above 0 and at most 100, not 0",
        ];
        Assert.Equal(expected, options.FindErrors());
        var error = Assert.Throws<ArgumentException>(() => new Sampler(options, new SamplingWorkspace(4)));
        Assert.All(expected, sentence => Assert.Contains(sentence, error.Message));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void Numbers_that_are_not_finite_are_errors(float value) => Assert.Equal(4,
        new SamplingOptions { Temperature = value, TopP = value, MinP = value, RepetitionPenalty = value }.FindErrors().Count);
}
