using System.Text.Json;
using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine.Tests.Parity;

/// <summary>Against the float32 reference of the published mathematics, in this process.</summary>
public class GoldenTests
{
    [Theory]
    [InlineData("tiny-a")]
    [InlineData("tiny-b")]
    public void Exact_logits_choices_and_experts_are_the_references(string name)
    {
        using var model = new GoldenModel(name, Precision.Exact, chunk: 50);
        foreach (var expected in model.Golden.GetProperty("cases").EnumerateArray())
        {
            var tokens = Ints(expected.GetProperty("tokens"));
            var routed = new List<int[]>[model.Store.Config.LayerCount];
            model.Forward.Routed = (layer, experts) => (routed[layer] ??= []).AddRange(experts.ToArray().Chunk(model.Store.Config.ExpertsPerToken));
            var argmax = new List<int>();
            var nll = new List<double>();
            float[] last = [];
            model.Scorer.Score(tokens, (position, logits) =>
            {
                argmax.Add(LogitMath.ArgMax(logits));
                if (position + 1 < tokens.Length)
                    nll.Add(LogitMath.NegativeLogLikelihood(logits, tokens[position + 1]));
                last = logits.ToArray();
            }, CancellationToken.None);

            var reference = expected.GetProperty("last_logits").EnumerateArray().Select(value => value.GetSingle()).ToArray();
            Assert.Equal(reference.Length, last.Length);
            Assert.True(last.Zip(reference, (a, b) => Math.Abs(a - b)).Max() <= 2e-3, "a logit is off by more than 2e-3");
            Assert.Equal(Ints(expected.GetProperty("argmax")), argmax);
            Assert.All(nll.Zip(expected.GetProperty("nll").EnumerateArray().Select(value => value.GetDouble())), pair => Assert.Equal(pair.Second, pair.First, 2e-3));
            if (expected.GetProperty("experts") is { ValueKind: JsonValueKind.Array } experts)
                Assert.Equal(experts.EnumerateArray().Select(layer => layer.EnumerateArray().Select(Ints).ToArray()).ToArray(), routed.Select(layer => layer.ToArray()).ToArray());
        }
    }

    [Theory]
    [InlineData("tiny-a")]
    [InlineData("tiny-b")]
    public async Task Exact_greedy_decoding_gives_the_references_tokens(string name)
    {
        using var model = new GoldenModel(name, Precision.Exact);
        var greedy = model.Golden.GetProperty("greedy");
        var prompt = Ints(greedy.GetProperty("prompt"));
        var expected = Ints(greedy.GetProperty("tokens"));
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions());
        var request = new GenerationRequest { Prompt = prompt, MaxTokens = expected.Length, Sampling = new SamplingOptions { Temperature = 0 }, IgnoreEos = true };
        var result = await engine.Submit(request, CancellationToken.None).Completion;
        Assert.Equal(expected, result.Tokens);
    }

    [Theory]
    [InlineData("tiny-a", Precision.Fast)]
    [InlineData("tiny-a", Precision.Exact)]
    [InlineData("tiny-b", Precision.Fast)]
    [InlineData("tiny-a", Precision.Fast, KvFormat.Int8)]
    [InlineData("tiny-b", Precision.Exact, KvFormat.Int8)]
    public void Logits_have_the_same_bits_for_every_chunk_size_thread_count_and_pipeline_depth(string name, Precision precision, KvFormat? kvFormat = null)
    {
        int[] tokens = [.. Enumerable.Range(0, 33).Select(i => i * 37 % 290)];
        float[][] Logits(int threads, int chunk, int depth = 1)
        {
            using var model = new GoldenModel(name, precision, threads, chunk, kvFormat: kvFormat);
            model.Forward.Depth = new Depth(depth);
            var all = new List<float[]>();
            model.Scorer.Score(tokens, (_, logits) => all.Add(logits.ToArray()), CancellationToken.None);
            return [.. all];
        }
        var alone = Logits(1, 1);
        Assert.Equal(alone, Logits(1, 33));
        Assert.Equal(alone, Logits(3, 7));
        Assert.Equal(alone, Logits(2, 16));
        Assert.Equal(alone, Logits(1, 33, depth: 2));
        Assert.Equal(alone, Logits(2, 7, depth: 4));
    }

    private sealed class Depth(int depth) : IPipelineDepth
    {
        public int For(int rows) => depth;

        public void Computed(int rows, TimeSpan elapsed)
        {
        }
    }

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(value => value.GetInt32())];
}
