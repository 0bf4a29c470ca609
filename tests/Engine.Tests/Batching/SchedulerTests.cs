using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Engine.Tests.Parity;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine.Tests.Batching;

public class SchedulerTests
{
    private static readonly EngineOptions Options = new() { StepMilliseconds = 250, PrefillStepMilliseconds = 400 };

    [Fact]
    public void Prefill_takes_the_longer_step_until_a_sequence_decodes()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast, kvBlocks: 64);
        var scheduler = Learned(model);
        using var prefilling = Sequence(model, 600);
        scheduler.Add(prefilling);

        Assert.InRange(Assert.Single(scheduler.Schedule()).Scheduled, 390, 410);

        using var decoding = Sequence(model, 1);
        scheduler.Add(decoding);
        Assert.Equal([1, 249], scheduler.Schedule().Select(sequence => sequence.Scheduled));
    }

    [Fact]
    public void A_prompt_that_is_little_longer_than_a_step_takes_one_while_nobody_decodes()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast, kvBlocks: 64);
        var scheduler = Learned(model);
        using var first = Sequence(model, 240);
        using var second = Sequence(model, 240);
        scheduler.Add(first);
        scheduler.Add(second);

        Assert.Equal([240, 240], scheduler.Schedule().Select(sequence => sequence.Scheduled));

        using var decoding = Sequence(model, 1);
        scheduler.Add(decoding);
        Assert.Equal([1, 124, 125], scheduler.Schedule().Select(sequence => sequence.Scheduled).Order());
    }

    /// <summary>One that has seen steps of a millisecond a row: 400 rows of prompts alone, 250 beside others.</summary>
    private static Scheduler Learned(GoldenModel model)
    {
        var scheduler = new Scheduler(model.Kv, Options);
        for (var i = 0; i < 50; i++)
            scheduler.StepDone(rows: 200, elapsed: TimeSpan.FromMilliseconds(200));
        return scheduler;
    }

    private static Sequence Sequence(GoldenModel model, int length)
    {
        var request = new GenerationRequest { Prompt = Enumerable.Repeat(1, length).ToArray(), MaxTokens = 1, Sampling = new SamplingOptions() };
        return new Sequence(request, model.Store.Config with { MaxSequenceLength = 1024 }, new Sampler(request.Sampling, new SamplingWorkspace(model.Store.Config.VocabularySize)), model.Kv, Options, null, CancellationToken.None);
    }
}
