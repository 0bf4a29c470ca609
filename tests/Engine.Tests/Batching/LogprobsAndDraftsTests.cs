using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Engine.Tests.Parity;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine.Tests.Batching;

public class LogprobsAndDraftsTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(0.9f)]
    public async Task Guessed_tokens_change_the_steps_and_nothing_else(float temperature)
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast);
        var requests = Enumerable.Range(0, 6).Select(i => new GenerationRequest
        {
            // Text that repeats itself, so that there is something to guess.
            Prompt = [.. Enumerable.Range(0, 60).Select(k => (i * 31 + k % (5 + i)) % 500)],
            MaxTokens = 90, IgnoreEos = true, Logprobs = 2, RoutedExperts = true, PromptLogprobs = i % 2 == 0 ? 1 : null,
            Sampling = new SamplingOptions { Temperature = temperature, Seed = (ulong)i, LogitBias = temperature == 0 ? new Dictionary<int, float>() : new Dictionary<int, float> { [7] = 3, [8] = 3 } },
        }).ToArray();
        var (plain, steps, _) = await RunAsync(model, new EngineOptions(), requests);
        var (guessed, fewer, statistics) = await RunAsync(model, new EngineOptions { DraftTokens = 6 }, requests);
        Assert.Equal(plain, guessed);
        Assert.True(statistics.AcceptedTokens > 0, "nothing was guessed right");
        // Greedily this model repeats one token, which is always guessed right.
        Assert.True(temperature == 0 || statistics.DraftedTokens > statistics.AcceptedTokens, "nothing was guessed wrong");
        Assert.True(fewer < steps, $"{fewer} steps with guesses, {steps} without");
        Assert.Equal(model.Kv.Capacity, model.Kv.Available);
    }

    [Fact]
    public async Task Prompt_logprobs_are_those_of_the_scorer_in_any_chunks_and_through_preemption()
    {
        var requests = Enumerable.Range(0, 5).Select(i => new GenerationRequest
        {
            Prompt = [.. Enumerable.Range(0, 90 + 7 * i).Select(k => (i * 131 + k * k * 7) % 500)], MaxTokens = 40, IgnoreEos = true, PromptLogprobs = 3,
            Sampling = new SamplingOptions { Temperature = 0 },
        }).ToArray();
        using var scoring = new GoldenModel("tiny-b", Precision.Fast);
        using var model = new GoldenModel("tiny-b", Precision.Fast, kvBlocks: 12);
        model.Forward.Depth = new TwoMicroBatches();
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions { MaxRows = 40 });
        var handles = requests.Select(request => engine.Submit(request, CancellationToken.None)).ToArray();
        for (var i = 0; i < requests.Length; i++)
        {
            await handles[i].Completion;
            var prompt = requests[i].Prompt;
            var expected = new List<TokenLogprobs>();
            scoring.Scorer.Score(prompt, (position, logits) =>
            {
                if (position + 1 < prompt.Count)
                    expected.Add(LogProbabilities.Of(logits, prompt[position + 1], 3));
            }, CancellationToken.None);
            Assert.Equal(expected.Select(Shown), handles[i].PromptLogprobs.Select(Shown));
        }
        Assert.True(engine.Statistics.Preemptions > 0, "the KV memory was meant to run out");
    }

    [Fact]
    public async Task Requests_with_one_prompt_compute_it_once()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast);
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions());
        int[] prompt = [.. Enumerable.Range(0, 100).Select(k => k * 3 % 500)];
        var request = new GenerationRequest { Prompt = prompt, MaxTokens = 5, IgnoreEos = true, Sampling = new SamplingOptions { Temperature = 0 } };
        var handles = engine.Submit([request, request, request], CancellationToken.None);
        var results = await Task.WhenAll(handles.Select(handle => handle.Completion));
        Assert.Equal(100 + 2 * (100 - 96), engine.Statistics.PromptTokens);
        Assert.All(results, result => Assert.Equal(results[0].Tokens, result.Tokens));
    }

    [Fact]
    public async Task A_sequence_whose_caller_has_enough_ends_as_if_stopped()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast);
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions());
        var handle = engine.Submit(new GenerationRequest { Prompt = [1], MaxTokens = 400, IgnoreEos = true }, CancellationToken.None);
        await handle.Tokens.ReadAsync();
        handle.Stop();
        var result = await handle.Completion;
        Assert.Equal(FinishReason.Stop, result.FinishReason);
        Assert.True(result.Tokens.Count < 400);
        Assert.Equal(model.Kv.Capacity, model.Kv.Available);
    }

    [Fact]
    public async Task Without_tokens_to_generate_only_the_prompt_is_run()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast);
        int[] prompt = [.. Enumerable.Range(0, model.Store.Config.MaxSequenceLength).Select(i => i % 500)];
        var routed = new List<int>[model.Store.Config.LayerCount];
        using (var scoring = new GoldenModel("tiny-b", Precision.Fast))
        {
            scoring.Forward.Routed += (layer, chosen) => (routed[layer] ??= []).AddRange(chosen.Span);
            scoring.Scorer.Score(prompt, static (_, _) => { }, CancellationToken.None);
        }
        model.Forward.Depth = new TwoMicroBatches();
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions());
        var handle = engine.Submit(new GenerationRequest { Prompt = prompt, MaxTokens = 0, PromptLogprobs = 0, RoutedExperts = true }, CancellationToken.None);
        var result = await handle.Completion;
        var k = model.Store.Config.ExpertsPerToken;
        for (var layer = 0; layer < routed.Length; layer++)
            Assert.Equal(routed[layer], result.RoutedExperts!.SelectMany(position => position.AsSpan(layer * k, k).ToArray()));
        Assert.Empty(result.Tokens);
        Assert.Equal(FinishReason.Length, result.FinishReason);
        Assert.Equal(prompt.Length - 1, handle.PromptLogprobs.Count);
        Assert.Equal(prompt.Length, result.RoutedExperts!.Count);
    }

    private static async Task<(List<string> Sequences, long Steps, EngineStatistics Statistics)> RunAsync(GoldenModel model, EngineOptions options, IReadOnlyList<GenerationRequest> requests)
    {
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, options);
        var shown = new List<string>();
        foreach (var request in requests)
        {
            var handle = engine.Submit(request, CancellationToken.None);
            var text = "";
            await foreach (var token in handle.Tokens.ReadAllAsync())
                text += $"{Shown(token.Logprobs!)} {string.Join(',', token.RoutedExperts!.SelectMany(position => position))}; ";
            await handle.Completion;
            shown.Add(text + string.Join(' ', handle.PromptLogprobs.Select(Shown)));
        }
        // The last step is counted after its tokens are handed out.
        await engine.Submit(requests[0] with { MaxTokens = 1 }, CancellationToken.None).Completion;
        return (shown, engine.Statistics.Steps, engine.Statistics);
    }

    /// <summary>Steps in two parts, as over workers.</summary>
    private sealed class TwoMicroBatches : IPipelineDepth
    {
        public int For(int rows) => 2;

        public void Computed(int rows, TimeSpan elapsed)
        {
        }
    }

    private static string Shown(TokenLogprobs token) => $"{token.Token}:{token.Logprob:R} [{string.Join(' ', token.Top.Select(top => $"{top.Token}:{top.Logprob:R}"))}]";
}
