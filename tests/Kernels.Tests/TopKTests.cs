using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Kernels.Tests;

public class TopKTests
{
    [Fact]
    public void Gates_are_the_probabilities_over_all_experts_not_renormalised()
    {
        float[] logits = [0.5f, 2f, -1f, 1.5f, 0f, 0.25f, -3f, 1f];
        double sum = logits.Sum(v => Math.Exp(v));
        var (chosen, gates) = Choose(logits, 2);
        Assert.Equal([1, 3], chosen);
        TestNumbers.Near([Math.Exp(2) / sum, Math.Exp(1.5) / sum], gates, 1e-6, 0, "gates");
        Assert.True(gates.Sum() < 0.75f);
    }

    [Fact]
    public void Of_equal_probabilities_the_lower_index_wins()
    {
        Assert.Equal([0, 1], Choose([1, 1, 1, 1], 2).Chosen);
        Assert.Equal([3, 1, 2], Choose([0, 1, 1, 2, 1], 3).Chosen);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 7)]
    [InlineData(256, 8)]
    public void The_chosen_are_the_k_largest_best_first(int experts, int k)
    {
        var logits = TestNumbers.Normal(experts, experts);
        var (chosen, gates) = Choose(logits, k);
        Assert.Equal(Enumerable.Range(0, experts).OrderByDescending(e => logits[e]).Take(k), chosen);
        Assert.Equal(gates.OrderDescending(), gates);
    }

    [Fact]
    public void NaN_still_chooses_different_experts() =>
        Assert.Equal([0, 1], Choose([float.NaN, float.NaN, float.NaN], 2).Chosen);

    [Fact]
    public void Wrong_sizes_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Choose(new float[257], 2));
        Assert.Throws<ArgumentException>(() => Choose([], 0));
        Assert.Throws<ArgumentException>(() => Choose(new float[2], 3));
        Assert.Throws<ArgumentException>(() => TopK.Choose(new float[4], new int[2], new float[1]));
    }

    private static (int[] Chosen, float[] Gates) Choose(float[] logits, int k)
    {
        var (chosen, gates) = (new int[k], new float[k]);
        TopK.Choose(logits, chosen, gates);
        return (chosen, gates);
    }
}
