using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Engine.Tests.Parity;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine.Tests.Batching;

public class SchedulerTests
{
    private const int PromptLength = 500;

    [Fact]
    public void Prefill_takes_the_longer_step_until_a_sequence_decodes()
    {
        using var model = new GoldenModel("tiny-b", Precision.Fast, kvBlocks: 64);
        var options = new EngineOptions { StepMilliseconds = 250, PrefillStepMilliseconds = 400 };
        var scheduler = new Scheduler(model.Kv, options);
        for (var i = 0; i < 50; i++)
            scheduler.StepDone(rows: 200, elapsed: TimeSpan.FromMilliseconds(200));
        using var prefilling = Sequence(PromptLength);
        scheduler.Add(prefilling);

        Assert.InRange(Assert.Single(scheduler.Schedule()).Scheduled, 390, 410);

        using var decoding = Sequence(1);
        scheduler.Add(decoding);
        Assert.Equal([1, 249], scheduler.Schedule().Select(sequence => sequence.Scheduled));

        Sequence Sequence(int length)
        {
            var request = new GenerationRequest { Prompt = Enumerable.Repeat(1, length).ToArray(), MaxTokens = 1, Sampling = new SamplingOptions() };
            return new Sequence(request, model.Store.Config with { MaxSequenceLength = 1024 }, new Sampler(request.Sampling, new SamplingWorkspace(model.Store.Config.VocabularySize)), model.Kv, options, null, CancellationToken.None);
        }
    }
}
