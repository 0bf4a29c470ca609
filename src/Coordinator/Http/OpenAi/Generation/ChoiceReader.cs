using System.Runtime.CompilerServices;
using Grok1Cluster.Coordinator.Http.Tokens;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Generation;

/// <summary>Follows one sequence of the engine: tokens to text, stop strings, the end.</summary>
/// <param name="index">The choice's index.</param>
/// <param name="request">What was submitted.</param>
/// <param name="handle">Where its tokens come from.</param>
/// <param name="promptLogprobs">Of the sequence that computed the prompt.</param>
/// <param name="decoder">Has seen the prompt.</param>
/// <param name="stops">Stop strings.</param>
internal sealed class ChoiceReader(
    int index, GenerationRequest request, SequenceHandle handle, IReadOnlyList<TokenLogprobs> promptLogprobs, ITokenDecoder decoder, IReadOnlyList<string> stops)
{
    /// <exception cref="Exception">What the sequence failed with.</exception>
    public async IAsyncEnumerable<ChoiceEvent> ReadAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        var matcher = new StopMatcher(stops);
        var count = 0;
        await handle.Tokens.WaitToReadAsync(cancel);
        yield return new PromptEvent(index, request.Prompt, promptLogprobs);
        await foreach (var token in handle.Tokens.ReadAllAsync(cancel))
        {
            foreach (var certain in matcher.Add(new TokenText(token, decoder.Append(token.Id)), mayStop: ++count > request.MinTokens))
                yield return new TokenEvent(index, certain.Token, certain.Text);
            if (!matcher.Stopped)
                continue;
            handle.Stop();
            yield return new EndEvent(index, "", FinishReason.Stop, request.RoutedExperts ? [] : null, count, handle.Times);
            yield break;
        }
        var result = await handle.Completion;
        var (tokens, rest) = matcher.End(decoder.Flush());
        foreach (var certain in tokens)
            yield return new TokenEvent(index, certain.Token, certain.Text);
        yield return new EndEvent(index, rest, matcher.Stopped ? FinishReason.Stop : result.FinishReason, result.RoutedExperts, count, handle.Times);
    }
}
