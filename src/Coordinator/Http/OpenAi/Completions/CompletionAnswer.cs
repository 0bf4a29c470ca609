using System.Text;
using System.Text.Json;
using Grok1Cluster.Coordinator.Http.OpenAi.Generation;
using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Completions;

/// <summary>Tells what happened to the choices of a completion: event by event, or whole at the end.</summary>
internal sealed class CompletionAnswer
{
    /// <summary>Where usage is asked for, events before the last have a null.</summary>
    private static readonly JsonElement NoUsageYet = JsonElement.Parse("null");

    private readonly ServedModel _model;
    private readonly CompletionRequest _request;
    private readonly string _id = $"cmpl-{Guid.NewGuid():N}";
    private readonly long _created = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
    private readonly UsageCounter _usage;

    /// <summary>Characters of each choice that have been told.</summary>
    private readonly int[] _offsets;

    public CompletionAnswer(ServedModel model, CompletionRequest request, int choices)
    {
        (_model, _request) = (model, request);
        _usage = new UsageCounter(request.Generation.Choices);
        _offsets = new int[choices];
    }

    /// <summary>The event of a stream that tells what happened; none for a prompt that is not echoed.</summary>
    public IEnumerable<object> Event(ChoiceEvent happened) =>
        Part(happened) is { } choice ? [Body([choice], _request.Generation.IncludeUsage ? NoUsageYet : null)] : [];

    /// <summary>The last event, with the counts, if asked for.</summary>
    public object? LastEvent() => _request.Generation.IncludeUsage ? Body([], _usage.Usage) : null;

    /// <summary>Everything in one body.</summary>
    public async Task<object> WholeAsync(IAsyncEnumerable<ChoiceEvent> events)
    {
        var parts = new List<CompletionChoice>();
        await foreach (var happened in events)
            if (Part(happened) is { } part)
                parts.Add(part);
        return Body([.. parts.GroupBy(part => part.Index).OrderBy(choice => choice.Key).Select(choice => Joined([.. choice]))], _usage.Usage);
    }

    private CompletionChoice? Part(ChoiceEvent happened)
    {
        switch (happened)
        {
            case PromptEvent prompt:
                return _request.Echo ? Prompt(prompt) : null;
            case TokenEvent token:
                var logprobs = _request.Logprobs is null ? null : new LegacyLogprobs();
                logprobs?.Add(_model.Texts, token.Token.Id, token.Token.Logprobs, _offsets[token.Choice]);
                _offsets[token.Choice] += LegacyLogprobs.Length(token.Text);
                return new CompletionChoice(token.Text, token.Choice, logprobs, null, RoutedExperts.ByLayer(token.Token.RoutedExperts, _model.Config));
            case EndEvent end:
                _usage.Add(end);
                return new CompletionChoice(end.Text, end.Choice, null, end.Reason == FinishReason.Stop ? "stop" : "length", RoutedExperts.ByLayer(end.RoutedExperts, _model.Config));
            default:
                throw new ArgumentException($"{happened.GetType().Name} is not told", nameof(happened));
        }
    }

    private CompletionChoice Prompt(PromptEvent prompt)
    {
        var decoder = _model.Texts.Decoder([]);
        var logprobs = _request.Logprobs is null ? null : new LegacyLogprobs();
        var text = new StringBuilder();
        for (var i = 0; i < prompt.Tokens.Count; i++)
        {
            logprobs?.Add(_model.Texts, prompt.Tokens[i], i == 0 ? null : prompt.Logprobs[i - 1], _offsets[prompt.Choice]);
            var added = decoder.Append(prompt.Tokens[i]);
            _offsets[prompt.Choice] += LegacyLogprobs.Length(added);
            text.Append(added);
        }
        return new CompletionChoice(text.ToString(), prompt.Choice, logprobs, null);
    }

    private CompletionChoice Joined(IReadOnlyList<CompletionChoice> parts)
    {
        LegacyLogprobs? logprobs = null;
        if (_request.Logprobs is not null)
        {
            logprobs = new LegacyLogprobs();
            foreach (var part in parts.Select(part => part.Logprobs).OfType<LegacyLogprobs>())
            {
                logprobs.Tokens.AddRange(part.Tokens);
                logprobs.TokenLogprobs.AddRange(part.TokenLogprobs);
                logprobs.TopLogprobs.AddRange(part.TopLogprobs);
                logprobs.TextOffset.AddRange(part.TextOffset);
            }
        }
        var experts = _request.Generation.RoutedExperts ? parts.SelectMany(part => part.RoutedExperts ?? []).ToArray() : null;
        return new CompletionChoice(string.Concat(parts.Select(part => part.Text)), parts[0].Index, logprobs, parts[^1].FinishReason, experts);
    }

    private CompletionBody Body(IReadOnlyList<CompletionChoice> choices, object? usage) =>
        new(_id, "text_completion", _created, _model.Id, choices, _model.Fingerprint, usage);
}
