using Grok1Cluster.Engine.Sampling;

namespace Grok1Cluster.Engine.Tests.Sampling;

public class SamplerTests
{
    /// <summary>Probabilities 0.4, 0.3, 0.15, 0.1, 0.05 at temperature 1, not in order.</summary>
    private static readonly float[] Logits = [.. new[] { 0.1, 0.4, 0.05, 0.3, 0.15 }.Select(p => (float)Math.Log(p) + 7)];

    [Fact]
    public void Greedy_takes_the_largest_logit_and_the_lowest_id_of_equals()
    {
        var greedy = new SamplingOptions { Temperature = 0 };
        Assert.Equal(1, Sample(greedy, Logits));
        Assert.Equal(2, Sample(greedy, [-5, -4, -3, -3, -4]));
        Assert.Equal(0, Sample(greedy, [-0f, 0f]));
        Assert.Equal(0, Sample(greedy, [float.MinValue]));
        for (var best = 0; best < 67; best++) // every lane of a vector and what is left of one
        {
            var logits = new float[67];
            logits[best] = 1;
            Assert.Equal(best, Sample(greedy, logits));
        }
    }

    [Fact]
    public void Draws_follow_the_softmax_of_the_logits_over_the_temperature()
    {
        AssertDistribution(new() { Temperature = 1 }, [0.1, 0.4, 0.05, 0.3, 0.15]);
        AssertDistribution(new() { Temperature = 0.5f }, Normalize([0.1 * 0.1, 0.4 * 0.4, 0.05 * 0.05, 0.3 * 0.3, 0.15 * 0.15]));
        AssertDistribution(new() { Temperature = 2 }, Normalize([.. new[] { 0.1, 0.4, 0.05, 0.3, 0.15 }.Select(Math.Sqrt)]));
    }

    [Fact]
    public void Top_k_leaves_the_k_most_probable_tokens()
    {
        AssertDistribution(new() { Temperature = 1, TopK = 1 }, [0, 1, 0, 0, 0]);
        AssertDistribution(new() { Temperature = 1, TopK = 3 }, Normalize([0, 0.4, 0, 0.3, 0.15]));
        AssertDistribution(new() { Temperature = 1, TopK = 5 }, [0.1, 0.4, 0.05, 0.3, 0.15]);
        AssertDistribution(new() { Temperature = 1, TopK = 100 }, [0.1, 0.4, 0.05, 0.3, 0.15]);
    }

    [Fact]
    public void Top_k_keeps_the_lower_ids_of_equal_logits() =>
        Assert.Equal([0, 1, 3], Drawn(new() { Temperature = 1, TopK = 3 }, [1, 1, 0, 1, 1]));

    [Fact]
    public void Top_p_keeps_the_token_that_reaches_the_sum()
    {
        AssertDistribution(new() { Temperature = 1, TopP = 0.01f }, [0, 1, 0, 0, 0]);
        AssertDistribution(new() { Temperature = 1, TopP = 0.39f }, [0, 1, 0, 0, 0]);
        AssertDistribution(new() { Temperature = 1, TopP = 0.41f }, Normalize([0, 0.4, 0, 0.3, 0]));
        AssertDistribution(new() { Temperature = 1, TopP = 0.69f }, Normalize([0, 0.4, 0, 0.3, 0]));
        AssertDistribution(new() { Temperature = 1, TopP = 0.71f }, Normalize([0, 0.4, 0, 0.3, 0.15]));
        AssertDistribution(new() { Temperature = 1, TopP = 0.96f }, [0.1, 0.4, 0.05, 0.3, 0.15]);
    }

    [Fact]
    public void Min_p_drops_tokens_far_below_the_most_probable_one()
    {
        AssertDistribution(new() { Temperature = 1, MinP = 0.24f }, Normalize([0.1, 0.4, 0, 0.3, 0.15]));
        AssertDistribution(new() { Temperature = 1, MinP = 0.26f }, Normalize([0, 0.4, 0, 0.3, 0.15]));
        Assert.Equal([0, 2], Drawn(new() { Temperature = 1, MinP = 1 }, [3, 2, 3, 2.99f]));
    }

    [Fact]
    public void Filters_apply_after_the_temperature_and_in_the_order_top_k_top_p_min_p()
    {
        // At temperature 0.5: 0.571, 0.321, 0.080, 0.036, 0.009 (of 0.285).
        AssertDistribution(new() { Temperature = 0.5f, TopP = 0.85f }, Normalize([0, 0.16, 0, 0.09, 0]));
        // Of the 3 best alone: 0.47, 0.353, 0.176; top-p counts within those.
        AssertDistribution(new() { Temperature = 1, TopK = 3, TopP = 0.81f }, Normalize([0, 0.4, 0, 0.3, 0]));
        AssertDistribution(new() { Temperature = 1, TopK = 4, TopP = 0.9f, MinP = 0.5f }, Normalize([0, 0.4, 0, 0.3, 0]));
    }

    [Fact]
    public void The_repetition_penalty_applies_once_to_each_token_seen()
    {
        var greedy = new SamplingOptions { Temperature = 0, RepetitionPenalty = 2 };
        Assert.Equal(1, Sample(greedy, [4, 3, 1], 0)); // 4 / 2 < 3
        Assert.Equal(0, Sample(greedy, [4, 1.5f, 1], 0, 0, 0)); // once: 2 > 1.5
        Assert.Equal(1, Sample(greedy, [-1, -1.5f, -4], 0)); // -1 * 2 < -1.5
        Assert.Equal(0, Sample(greedy, [4, 3, 1]));
        var softmaxOfPenalized = Normalize([1, Math.Exp(0.5), Math.Exp(2)]);
        AssertDistribution(new() { Temperature = 1, RepetitionPenalty = 2 }, softmaxOfPenalized, [0, 1, 2], [1, 1]);
    }

    [Fact]
    public void A_penalised_logit_stays_finite()
    {
        Assert.Equal(1, Sample(new() { Temperature = 0, RepetitionPenalty = 100 }, [-3e38f, -2e38f], 0));
        Assert.Equal(0, Sample(new() { Temperature = 0, RepetitionPenalty = 0.01f }, [3e38f, 2e38f], 0));
    }

    [Fact]
    public void Extreme_logits_and_temperatures_draw_the_best_token_and_never_one_without_probability()
    {
        Assert.Equal([1], Drawn(new() { Temperature = float.Epsilon }, [1, 2, -3]));
        Assert.Equal([1], Drawn(new() { Temperature = float.Epsilon, TopK = 2 }, [1, 2, -3]));
        Assert.Equal([1], Drawn(new() { Temperature = float.Epsilon, TopP = 0.99f }, [1, 2, -3]));
        Assert.Equal([0], Drawn(new() { Temperature = 1 }, [float.MaxValue, float.MinValue, 0, 1]));
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], Drawn(new() { Temperature = 100 }, new float[11]));
    }

    [Fact]
    public void Filters_keep_exactly_the_tokens_that_a_full_sort_keeps()
    {
        var random = new Random(11);
        for (var round = 0; round < 40; round++)
        {
            var logits = Enumerable.Range(0, 2500).Select(_ => MathF.Round((float)random.NextDouble() * 8, 1)).ToArray(); // many equals
            if (round % 4 == 0)
                Array.Sort(logits); // the best come last
            var options = new SamplingOptions
            {
                Temperature = 1,
                TopK = random.Next(3) == 0 ? 0 : random.Next(1, 40),
                TopP = random.Next(3) == 0 ? 1 : 0.001f + 0.02f * (float)random.NextDouble(),
                MinP = random.Next(3) == 0 ? 0.5f : 0,
                Seed = (ulong)round,
            };
            var kept = KeptByFullSort(options, logits);
            Assert.Subset(kept.ToHashSet(), Drawn(options, logits, 200).ToHashSet());
            if (kept.Count <= 12)
                Assert.Equal(kept.Order(), Drawn(options, logits, 600));
        }
    }

    [Fact]
    public void The_same_seed_gives_the_same_tokens_whatever_other_sequences_do()
    {
        var options = new SamplingOptions { Temperature = 1, TopP = 0.99f, Seed = 42 };
        var alone = Draw(new Sampler(options, new SamplingWorkspace(5)), 200);

        var workspace = new SamplingWorkspace(5);
        var one = new Sampler(options, workspace);
        var others = Enumerable.Range(0, 7).Select(i => new Sampler(options with { Seed = (ulong)i, RepetitionPenalty = 1.5f, TopK = 3 }, workspace)).ToArray();
        var among = new List<int>();
        for (var i = 0; i < 200; i++)
        {
            foreach (var other in others)
                other.Sample(Logits, [0, 1], [], []);
            among.Add(one.Sample(Logits, [], [], []));
        }
        Assert.Equal(alone, among);
    }

    [Fact]
    public void Other_seeds_give_other_tokens_and_a_random_seed_can_be_used_again()
    {
        var workspace = new SamplingWorkspace(5);
        var options = new SamplingOptions { Temperature = 1 };
        var sequences = Enumerable.Range(0, 20).Select(seed => string.Join(' ', Draw(new Sampler(options with { Seed = (ulong)seed }, workspace), 50)));
        Assert.Equal(20, sequences.Distinct().Count());

        var unseeded = new Sampler(options, workspace);
        Assert.NotEqual(unseeded.Seed, new Sampler(options, workspace).Seed);
        Assert.Equal(Draw(unseeded, 50), Draw(new Sampler(options with { Seed = unseeded.Seed }, workspace), 50));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_logit_that_is_not_finite_is_named(float value)
    {
        for (var token = 0; token < 35; token++)
        {
            var logits = new float[35];
            logits[token] = value;
            foreach (var options in new SamplingOptions[] { new() { Temperature = 0 }, new(), new() { RepetitionPenalty = 1.2f, TopK = 3 } })
            {
                var error = Assert.Throws<NonFiniteLogitException>(() => Sample(options, logits, token));
                Assert.Equal(token, error.Token);
                Assert.Equal(value, error.Value);
                Assert.Contains($"token {token} (of 35) is {value}", error.Message);
            }
        }
    }

    [Fact]
    public void Logits_of_another_length_and_history_outside_the_vocabulary_are_refused()
    {
        var sampler = new Sampler(new() { RepetitionPenalty = 2, Temperature = 0 }, new SamplingWorkspace(3));
        Assert.Contains("4 logits for a vocabulary of 3", Assert.Throws<ArgumentException>(() => sampler.Sample(new float[4], [], [], [])).Message);
        foreach (var id in new[] { -1, 3, int.MaxValue })
            Assert.Contains($"token id {id} ", Assert.Throws<ArgumentOutOfRangeException>(() => sampler.Sample(new float[3], [0, id], [], [])).Message);
        Assert.Equal(0, sampler.Sample([2, 1, 1.5f], [1], [], [])); // the refused call left nothing behind
    }

    [Fact]
    public void Sampling_allocates_nothing()
    {
        var logits = Enumerable.Range(0, 1000).Select(i => MathF.Sin(i) * 5).ToArray();
        var workspace = new SamplingWorkspace(logits.Length);
        SamplingOptions[] all = [new() { Temperature = 0 }, new(), new() { TopK = 20 }, new() { TopP = 0.9f, MinP = 0.1f, RepetitionPenalty = 1.1f }];
        var samplers = all.Select(options => new Sampler(options, workspace)).ToArray();
        int[] history = [1, 2, 3, 2, 1];
        foreach (var sampler in samplers)
            sampler.Sample(logits, history, [], []);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
            foreach (var sampler in samplers)
                sampler.Sample(logits, history, [], []);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static int Sample(SamplingOptions options, float[] logits, params int[] history) =>
        new Sampler(options, new SamplingWorkspace(logits.Length)).Sample(logits, history, [], []);

    private static List<int> Draw(Sampler sampler, int count) => [.. Enumerable.Range(0, count).Select(_ => sampler.Sample(Logits, [], [], []))];

    /// <summary>The tokens that come up, in order of id.</summary>
    private static int[] Drawn(SamplingOptions options, float[] logits, int draws = 2000)
    {
        var sampler = new Sampler(options with { Seed = options.Seed ?? 5 }, new SamplingWorkspace(logits.Length));
        return [.. Enumerable.Range(0, draws).Select(_ => sampler.Sample(logits, [], [], [])).Distinct().Order()];
    }

    private static List<int> KeptByFullSort(SamplingOptions options, float[] logits)
    {
        var best = Enumerable.Range(0, logits.Length).OrderByDescending(token => logits[token]).ThenBy(token => token)
            .Take(options.TopK > 0 ? options.TopK : logits.Length).ToList();
        var weights = best.Select(token => Math.Exp(logits[token] - logits[best[0]])).ToList();
        var total = weights.Sum();
        var kept = new List<int>();
        for (var (i, sum) = (0, 0.0); i < best.Count && sum < options.TopP * total && weights[i] >= options.MinP; sum += weights[i++])
            kept.Add(best[i]);
        return kept;
    }

    private static void AssertDistribution(SamplingOptions options, double[] expected) => AssertDistribution(options, expected, Logits, []);

    /// <summary>
    /// 20,000 draws from a fixed seed: none of a token without probability, and chi-square below 30, which chance
    /// passes for 4 degrees of freedom once in 200,000 seeds.
    /// </summary>
    private static void AssertDistribution(SamplingOptions options, double[] expected, float[] logits, int[] history)
    {
        const int Draws = 20_000;
        var sampler = new Sampler(options with { Seed = 2024 }, new SamplingWorkspace(logits.Length));
        var counts = new int[logits.Length];
        for (var i = 0; i < Draws; i++)
            counts[sampler.Sample(logits, history, [], [])]++;
        var chiSquare = 0.0;
        for (var token = 0; token < counts.Length; token++)
        {
            if (expected[token] == 0)
                Assert.Equal(0, counts[token]);
            else
                chiSquare += Math.Pow(counts[token] - Draws * expected[token], 2) / (Draws * expected[token]);
        }
        Assert.True(chiSquare < 30, $"chi-square {chiSquare}: {string.Join(' ', counts)}");
    }

    private static double[] Normalize(double[] weights) => [.. weights.Select(weight => weight / weights.Sum())];
}
