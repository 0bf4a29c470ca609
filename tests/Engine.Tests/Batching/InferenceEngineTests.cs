using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Engine.Tests.Parity;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine.Tests.Batching;

/// <summary>Continuous batching on a small model, in this process.</summary>
public class InferenceEngineTests
{
    [Theory]
    [InlineData(Precision.Fast, null)]
    [InlineData(Precision.Exact, null)]
    [InlineData(Precision.Fast, 12)] // so little KV memory that sequences are preempted again and again
    public async Task Sequences_of_mixed_lengths_together_give_what_each_gives_alone(Precision precision, int? kvBlocks)
    {
        using var model = new GoldenModel("tiny-b", precision, kvBlocks: kvBlocks);
        var requests = Enumerable.Range(0, 12).Select(i => Request(i, promptLength: 1 + i * 17 % 90, maxTokens: 10 + i * 11 % 50, temperature: i % 3 == 0 ? 0 : 0.9f)).ToArray();
        var alone = new List<IReadOnlyList<int>>();
        using (var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions()))
            foreach (var request in requests)
                alone.Add((await engine.Submit(request, CancellationToken.None).Completion).Tokens);
        using (var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions { MaxRows = 40 }))
        {
            var together = await Task.WhenAll(requests.Select(request => engine.Submit(request, CancellationToken.None).Completion));
            Assert.Equal(alone, together.Select(result => result.Tokens));
            if (kvBlocks is not null)
                Assert.True(engine.Statistics.Preemptions > 0, "the KV memory was meant to run out");
        }
        Assert.Equal(model.Kv.Capacity, model.Kv.Available);
    }

    [Fact]
    public async Task A_cancelled_sequence_leaves_and_the_others_do_not_notice()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast);
        using var cancel = new CancellationTokenSource();
        // On the engine's thread, at the first token: from another one it might come after the last.
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions { Observer = new CancelAtFirstToken(40, cancel) });
        var expected = (await engine.Submit(Request(1, 5, 60), CancellationToken.None).Completion).Tokens;
        var leaving = engine.Submit(Request(2, 40, 400), cancel.Token);
        var staying = engine.Submit(Request(1, 5, 60), CancellationToken.None);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving.Completion);
        Assert.Equal(expected, (await staying.Completion).Tokens);
        Assert.Equal(model.Kv.Capacity, model.Kv.Available);
    }

    [Fact]
    public async Task A_repeated_prompt_is_found_in_the_prefix_cache_and_gives_the_same_tokens()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast);
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions());
        var request = Request(3, promptLength: 3 * KvBlockLayout.Tokens + 5, maxTokens: 12);
        var first = (await engine.Submit(request, CancellationToken.None).Completion).Tokens;
        Assert.Equal(0, engine.Statistics.CachedTokens);
        Assert.Equal(first, (await engine.Submit(request, CancellationToken.None).Completion).Tokens);
        var other = request with { Prompt = [request.Prompt[0] ^ 1, .. request.Prompt.Skip(1)] };
        await engine.Submit(other, CancellationToken.None).Completion;
        Assert.Equal(3 * KvBlockLayout.Tokens, engine.Statistics.CachedTokens);
    }

    [Fact]
    public async Task A_full_queue_refuses_and_recovers()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast);
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions { MaxRunning = 1, MaxWaiting = 2 });
        using var cancel = new CancellationTokenSource();
        var accepted = new List<SequenceHandle>();
        Assert.Throws<QueueFullException>(() =>
        {
            for (var i = 0; i < 50; i++)
                accepted.Add(engine.Submit(Request(i, 5, 400), cancel.Token));
        });
        await cancel.CancelAsync();
        foreach (var handle in accepted)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => handle.Completion);
        Assert.Equal(4, (await engine.Submit(Request(1, 5, 4), CancellationToken.None).Completion).Tokens.Count);
    }

    [Fact]
    public void Disposing_cancels_what_is_under_way()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast);
        var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions());
        var handle = engine.Submit(Request(1, 5, 400), CancellationToken.None);
        engine.Dispose();
        Assert.True(handle.Completion.IsCanceled || handle.Completion.IsCompletedSuccessfully);
        Assert.Throws<ObjectDisposedException>(() => engine.Submit(Request(1, 5, 4), CancellationToken.None));
    }

    [Theory]
    [InlineData(new int[0], "no tokens")]
    [InlineData(new[] { 1, -1 }, "token 1 is -1")]
    [InlineData(new[] { 512 }, "token 0 is 512, outside the vocabulary of 512")]
    public void A_prompt_that_the_model_cannot_take_is_refused_at_once(int[] prompt, string message)
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast);
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions());
        Assert.Contains(message, Assert.Throws<PromptException>(() => engine.Submit(new GenerationRequest { Prompt = prompt }, CancellationToken.None)).Message);
    }

    [Fact]
    public async Task A_text_that_would_outgrow_the_KV_memory_ends_there_as_at_the_end_of_the_context()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast, kvBlocks: 2);
        using var engine = new InferenceEngine(model.Store.Config, model.Forward, model.Kv, new EngineOptions());
        var result = await engine.Submit(Request(1, 5, 400), CancellationToken.None).Completion;
        Assert.Equal((FinishReason.Length, 2 * KvBlockLayout.Tokens - 5), (result.FinishReason, result.Tokens.Count));
        Assert.Equal(model.Kv.Capacity, model.Kv.Available);
    }

    private static GenerationRequest Request(int seed, int promptLength, int maxTokens, float temperature = 0.8f) => new()
    {
        Prompt = [.. Enumerable.Range(0, promptLength).Select(i => (seed * 131 + i * i * 7) % 500)],
        MaxTokens = maxTokens,
        Sampling = new SamplingOptions { Temperature = temperature, Seed = (ulong)seed },
        IgnoreEos = true,
    };

    /// <summary>Cancels when a sequence with a prompt of a given length has a token.</summary>
    private sealed class CancelAtFirstToken(int promptTokens, CancellationTokenSource cancel) : IEngineObserver
    {
        public void TokenGenerated(SequenceTimes sequence, long now)
        {
            if (sequence.PromptTokens == promptTokens)
                cancel.Cancel();
        }

        public void SequenceEnded(SequenceTimes sequence, SequenceOutcome outcome)
        {
        }

        public void StepEnded(in StepTimes step)
        {
        }
    }
}
