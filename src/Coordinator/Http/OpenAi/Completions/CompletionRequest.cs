using System.Text.Json;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Http.OpenAi.Generation;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Engine.Generation;
using static Grok1Cluster.Coordinator.Http.Requests.ApiField;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Completions;

/// <summary>The body of <c>POST /v1/completions</c>, read and checked.</summary>
internal sealed record CompletionRequest
{
    private const int DefaultMaxTokens = 16;

    public static readonly IReadOnlyList<ApiField> Known =
    [
        .. GenerationFields.Known,
        Supported("prompt", """{"oneOf":[{"type":"string"},{"type":"array","items":{"type":"string"}},{"type":"array","items":{"type":"integer"}},{"type":"array","items":{"type":"array","items":{"type":"integer"}}}]}""",
            "A text, texts, token ids, or lists of token ids."),
        Supported("echo", """{"type":"boolean","default":false}""", "The prompt comes back before the completion, with its log-probabilities if asked for."),
        Supported("logprobs", """{"type":"integer","minimum":0}""", "Log-probabilities of the tokens and of so many likeliest ones."),
        Supported("best_of", """{"type":"integer"}""", "Only the value of n: completions are not ranked."),
        Neutral("suffix", """{"type":"string"}""", "\"\""),
    ];

    public required GenerationFields Generation { get; init; }

    /// <summary>Token ids of each prompt.</summary>
    public required IReadOnlyList<int[]> Prompts { get; init; }

    public bool Echo { get; private init; }

    /// <summary>Likeliest tokens to tell; null for no log-probabilities.</summary>
    public int? Logprobs { get; private init; }

    /// <summary>As the engine takes it, but for prompt and seed.</summary>
    public GenerationRequest ToEngine() => new()
    {
        Prompt = [],
        MaxTokens = Generation.MaxTokens ?? DefaultMaxTokens,
        MinTokens = Generation.MinTokens,
        Sampling = Generation.Sampling,
        IgnoreEos = Generation.IgnoreEos,
        StopTokens = Generation.StopTokens,
        Logprobs = Logprobs,
        PromptLogprobs = Echo ? Logprobs : null,
        RoutedExperts = Generation.RoutedExperts,
    };

    /// <exception cref="ApiException">A field is unknown, not supported, of the wrong type or out of range.</exception>
    public static CompletionRequest Read(JsonElement body, ServedModel model, ApiLimits limits)
    {
        var fields = new RequestFields(body, Known);
        var generation = GenerationFields.Read(fields, "max_tokens", model, limits);
        if (fields.Integer("best_of", 1, int.MaxValue) is { } bestOf && bestOf != generation.Choices)
            throw new ApiException($"best_of is {bestOf}, only the value of n, {generation.Choices}, is supported: completions are not ranked", "best_of") { Code = "unsupported_value" };
        var request = new CompletionRequest
        {
            Generation = generation,
            Echo = fields.Flag("echo"),
            Logprobs = fields.Integer("logprobs", 0, Math.Min(limits.Logprobs, model.Config.VocabularySize)),
            Prompts = ReadPrompts(fields, model, limits, generation.MaxTokens),
        };
        foreach (var prompt in request.Prompts)
            model.CheckLength(prompt.Length, generation.MaxTokens, "prompt");
        return request;
    }

    private static IReadOnlyList<int[]> ReadPrompts(RequestFields fields, ServedModel model, ApiLimits limits, int? maxTokens)
    {
        if (!fields.TryGet("prompt", out var value))
            throw new ApiException("prompt is missing; give a text or token ids", "prompt");
        if (value.ValueKind == JsonValueKind.String)
            return [model.EncodePrompt(RequestFields.TextOf(value, "prompt"), maxTokens, "prompt")];
        if (value.ValueKind != JsonValueKind.Array)
            throw new ApiException($"the prompt must be a string, an array of strings, an array of token ids or an array of such arrays, not {RequestFields.Shown(value)}", "prompt");
        if (value.GetArrayLength() == 0)
            throw new ApiException("prompt is empty: there are no tokens; give at least one", "prompt");
        if (value[0].ValueKind is not (JsonValueKind.String or JsonValueKind.Array))
            return [RequestFields.TokensOf(value, "prompt", model.Config.VocabularySize)];
        if (value.GetArrayLength() > limits.Prompts)
            throw new ApiException($"there are {value.GetArrayLength()} prompts, at most {limits.Prompts} are taken in one request", "prompt");
        var texts = value[0].ValueKind == JsonValueKind.String;
        var prompts = new List<int[]>();
        foreach (var item in value.EnumerateArray())
            prompts.Add(texts
                ? model.EncodePrompt(RequestFields.TextOf(item, $"prompt[{prompts.Count}]"), maxTokens, "prompt")
                : RequestFields.TokensOf(item, $"prompt[{prompts.Count}]", model.Config.VocabularySize));
        return prompts;
    }
}
