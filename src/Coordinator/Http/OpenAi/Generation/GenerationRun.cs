using System.Threading.Channels;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Generation;

/// <summary>
/// All choices of one request on their way through the engine: n for each prompt, prompt by prompt. What happens to them
/// comes out as one stream of events. Ends with the request: disposing cancels what still runs.
/// </summary>
internal sealed class GenerationRun : IDisposable
{
    private readonly Channel<ChoiceEvent> _events = Channel.CreateUnbounded<ChoiceEvent>(new UnboundedChannelOptions { SingleReader = true });
    private readonly CancellationTokenSource _cancel = new();
    private readonly CancellationTokenRegistration _clientGone;

    private GenerationRun(int choices, CancellationToken cancel)
    {
        Choices = choices;
        _clientGone = cancel.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), _cancel);
    }

    /// <summary>Events of all choices; of one choice in order. Fails with what the first failing choice failed with.</summary>
    public ChannelReader<ChoiceEvent> Events => _events.Reader;

    public int Choices { get; }

    /// <summary>Submits everything, or nothing.</summary>
    /// <param name="engine">Takes the requests.</param>
    /// <param name="model">Turns tokens into text.</param>
    /// <param name="prompts">Token ids of each prompt.</param>
    /// <param name="fields">What to generate.</param>
    /// <param name="template">The engine's request, but for prompt and seed.</param>
    /// <param name="cancel">The client is gone.</param>
    /// <exception cref="PromptException">The model cannot take a prompt.</exception>
    /// <exception cref="Engine.Scheduling.QueueFullException">Too many wait.</exception>
    public static GenerationRun Start(
        InferenceEngine engine, ServedModel model, IReadOnlyList<int[]> prompts, GenerationFields fields, GenerationRequest template, CancellationToken cancel)
    {
        var requests = prompts.SelectMany(prompt => Enumerable.Range(0, fields.Choices).Select(choice => template with
        {
            Prompt = prompt,
            // The first choice tells of the prompt for all of them.
            PromptLogprobs = choice == 0 ? template.PromptLogprobs : null,
            Sampling = template.Sampling with { Seed = template.Sampling.Seed + (ulong)choice },
        })).ToArray();
        var run = new GenerationRun(requests.Length, cancel);
        try
        {
            var handles = engine.Submit(requests, run._cancel.Token);
            _ = run.PumpAsync([.. handles.Select((handle, i) => new ChoiceReader(
                i, requests[i], handle, handles[i - i % fields.Choices].PromptLogprobs, model.Texts.Decoder(requests[i].Prompt), fields.Stops))]);
            return run;
        }
        catch
        {
            run.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _clientGone.Dispose();
        // Not disposed: readers that end later still look at it.
        _cancel.Cancel();
    }

    private async Task PumpAsync(IReadOnlyList<ChoiceReader> readers)
    {
        await Task.WhenAll(readers.Select(PumpAsync));
        _events.Writer.TryComplete();
    }

    private async Task PumpAsync(ChoiceReader reader)
    {
        try
        {
            await foreach (var happened in reader.ReadAsync(_cancel.Token))
                _events.Writer.TryWrite(happened);
        }
        catch (Exception e)
        {
            // The first failure is the request's; the other choices have no reader from here on.
            _events.Writer.TryComplete(e);
            _cancel.Cancel();
        }
    }
}
