using System.Globalization;
using System.Text.Json;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Engine.Sampling;
using static Grok1Cluster.Coordinator.Http.Requests.ApiField;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Generation;

/// <summary>What completions and chats have in common: how tokens are chosen, when to stop, how many choices, how to answer.</summary>
internal sealed record GenerationFields
{
    /// <summary>The fields, for both routes.</summary>
    public static readonly IReadOnlyList<ApiField> Known =
    [
        Supported("model", """{"type":"string"}""", "The model's id, as /v1/models tells it; may be left out."),
        Supported("max_tokens", """{"type":"integer","minimum":0}""", "Most tokens to generate for each choice."),
        Supported("min_tokens", """{"type":"integer","minimum":0,"default":0}""", "Before so many tokens neither end-of-sequence nor a stop ends the text."),
        Supported("temperature", """{"type":"number","minimum":0,"maximum":2,"default":1}""", "Logits are divided by it; 0 is greedy."),
        Supported("top_p", """{"type":"number","exclusiveMinimum":0,"maximum":1,"default":1}""", "The fewest likeliest tokens with this probability together remain."),
        Supported("top_k", """{"type":"integer","minimum":-1,"default":0}""", "So many of the likeliest tokens remain; 0 and -1 keep all."),
        Supported("min_p", """{"type":"number","minimum":0,"maximum":1,"default":0}""", "Tokens less likely than this times the likeliest one are dropped."),
        Supported("repetition_penalty", """{"type":"number","exclusiveMinimum":0,"maximum":100,"default":1}""", "Above 1 makes tokens of prompt and text less likely."),
        Supported("presence_penalty", """{"type":"number","minimum":-2,"maximum":2,"default":0}""", "Taken from the logits of tokens generated before."),
        Supported("frequency_penalty", """{"type":"number","minimum":-2,"maximum":2,"default":0}""", "Taken from a token's logit for each time it was generated before."),
        Supported("logit_bias", """{"type":"object","additionalProperties":{"type":"number","minimum":-100,"maximum":100}}""", "Token id to a number that is added to its logit."),
        Supported("seed", """{"type":"integer"}""", "The same seed and request give the same text; choice i of n uses seed + i."),
        Supported("stop", """{"oneOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]}""", "The text ends before the first of these."),
        Supported("stop_token_ids", """{"type":"array","items":{"type":"integer"}}""", "Tokens that end the text and are no part of it."),
        Supported("ignore_eos", """{"type":"boolean","default":false}""", "Goes on after the end-of-sequence token."),
        Supported("n", """{"type":"integer","minimum":1,"default":1}""", "Choices for each prompt; the prompt is computed once."),
        Supported("stream", """{"type":"boolean","default":false}""", "Server-sent events, one a token, then [DONE]."),
        Supported("stream_options", """{"type":"object","properties":{"include_usage":{"type":"boolean"}}}""", "With include_usage, a last event with the counts of tokens."),
        Supported("return_routed_experts", """{"type":"boolean","default":false}""", "Adds routed_experts to each choice: [position][layer][k], best expert first."),
        Neutral("response_format", """{"type":"object"}""", """{"type":"text"}"""),
        Neutral("use_beam_search", """{"type":"boolean"}""", "false"),
        Neutral("length_penalty", """{"type":"number"}""", "1"),
        Neutral("early_stopping", """{"type":"boolean"}""", "false"),
        Neutral("include_stop_str_in_output", """{"type":"boolean"}""", "false"),
        Neutral("skip_special_tokens", """{"type":"boolean"}""", "true"),
        Neutral("spaces_between_special_tokens", """{"type":"boolean"}""", "true"),
        Neutral("add_special_tokens", """{"type":"boolean"}""", "true", "false"),
        Bookkeeping("user"), Bookkeeping("store"), Bookkeeping("metadata"), Bookkeeping("service_tier"), Bookkeeping("safety_identifier"),
        Bookkeeping("prompt_cache_key"), Bookkeeping("prompt_cache_retention"),
        Refused("guided_json", "output is not constrained"), Refused("guided_regex", "output is not constrained"), Refused("guided_choice", "output is not constrained"),
        Refused("guided_grammar", "output is not constrained"), Refused("structured_outputs", "output is not constrained"),
        Refused("prompt_logprobs", "use echo with logprobs on /v1/completions"),
        Refused("truncate_prompt_tokens", "send a prompt that fits"),
    ];

    public int? MaxTokens { get; private init; }

    public int MinTokens { get; private init; }

    public required SamplingOptions Sampling { get; init; }

    public IReadOnlyList<string> Stops { get; init; } = [];

    public IReadOnlyList<int> StopTokens { get; private init; } = [];

    public bool IgnoreEos { get; private init; }

    public int Choices { get; private init; }

    public bool Stream { get; private init; }

    public bool IncludeUsage { get; private init; }

    public bool RoutedExperts { get; private init; }

    /// <param name="fields">The request.</param>
    /// <param name="maxTokensField">The field that bounds the tokens.</param>
    /// <param name="model">What the model is.</param>
    /// <param name="limits">What may be asked for.</param>
    /// <exception cref="ApiException">A field has the wrong type or range.</exception>
    public static GenerationFields Read(RequestFields fields, string maxTokensField, ServedModel model, ApiLimits limits)
    {
        if (fields.Text("model") is { } asked && asked != model.Id)
            throw model.NotServed(asked);
        var most = Math.Min(limits.Tokens ?? int.MaxValue, model.Config.MaxSequenceLength);
        var maxTokens = fields.Integer(maxTokensField, 0, most);
        var minTokens = fields.Integer("min_tokens", 0, most) ?? 0;
        if (minTokens > (maxTokens ?? int.MaxValue))
            throw new ApiException($"min_tokens is {minTokens}, more than {maxTokensField}, {maxTokens}", "min_tokens");
        var (stream, usage) = (fields.Flag("stream"), IncludesUsage(fields));
        return new GenerationFields
        {
            MaxTokens = maxTokens,
            MinTokens = minTokens,
            Sampling = ReadSampling(fields, model, limits),
            Stops = ReadStops(fields, limits),
            StopTokens = ReadStopTokens(fields, model, limits),
            IgnoreEos = fields.Flag("ignore_eos"),
            Choices = fields.Integer("n", 1, limits.Choices) ?? 1,
            Stream = stream,
            IncludeUsage = usage is null || stream ? usage ?? false : throw new ApiException("stream_options is only for stream: true", "stream_options"),
            RoutedExperts = fields.Flag("return_routed_experts"),
        };
    }

    private static SamplingOptions ReadSampling(RequestFields fields, ServedModel model, ApiLimits limits)
    {
        var topP = fields.Number("top_p", 0, 1) ?? 1;
        if (topP == 0)
            throw new ApiException("top_p must be above 0; temperature 0 is greedy", "top_p");
        var penalty = fields.Number("repetition_penalty", 0, 100) ?? 1;
        if (penalty == 0)
            throw new ApiException("repetition_penalty must be above 0; 1 is none", "repetition_penalty");
        return new SamplingOptions
        {
            Temperature = fields.Number("temperature", 0, 2) ?? 1,
            TopP = topP,
            TopK = Math.Max(0, fields.Integer("top_k", -1, int.MaxValue) ?? 0),
            MinP = fields.Number("min_p", 0, 1) ?? 0,
            RepetitionPenalty = penalty,
            PresencePenalty = fields.Number("presence_penalty", -2, 2) ?? 0,
            FrequencyPenalty = fields.Number("frequency_penalty", -2, 2) ?? 0,
            LogitBias = ReadBias(fields, model, limits),
            Seed = fields.Long("seed") is { } seed ? unchecked((ulong)seed) : null,
        };
    }

    private static Dictionary<int, float> ReadBias(RequestFields fields, ServedModel model, ApiLimits limits)
    {
        var bias = new Dictionary<int, float>();
        if (!fields.TryGet("logit_bias", out var value))
            return bias;
        if (value.ValueKind != JsonValueKind.Object)
            throw new ApiException($"logit_bias must be an object of token ids, not {RequestFields.Shown(value)}", "logit_bias");
        foreach (var property in value.EnumerateObject())
        {
            if (!int.TryParse(property.Name, NumberStyles.None, CultureInfo.InvariantCulture, out var token) || token >= model.Config.VocabularySize)
                throw new ApiException($"logit_bias: '{(property.Name.Length > 20 ? property.Name[..20] : property.Name)}' is not a token id below {model.Config.VocabularySize}", "logit_bias");
            bias[token] = RequestFields.NumberOf(property.Value, $"logit_bias[{token}]", -100, 100);
            if (bias.Count > limits.LogitBiases)
                throw new ApiException($"logit_bias has more than {limits.LogitBiases} tokens", "logit_bias");
        }
        return bias;
    }

    private static string[] ReadStops(RequestFields fields, ApiLimits limits)
    {
        if (!fields.TryGet("stop", out var value))
            return [];
        var values = value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().ToArray() : [value];
        if (values.Length > limits.Stops)
            throw new ApiException($"stop has {values.Length} strings, at most {limits.Stops} are taken", "stop");
        return [.. values.Select(item => RequestFields.TextOf(item, "stop") switch
        {
            "" => throw new ApiException("stop has an empty string, which would end every text at once", "stop"),
            var text when text.Length > limits.StopLength => throw new ApiException($"stop has a string of {text.Length} characters, at most {limits.StopLength} are taken", "stop"),
            var text => text,
        })];
    }

    private static int[] ReadStopTokens(RequestFields fields, ServedModel model, ApiLimits limits)
    {
        if (!fields.TryGet("stop_token_ids", out var value))
            return [];
        var ids = RequestFields.TokensOf(value, "stop_token_ids", model.Config.VocabularySize);
        return ids.Length <= limits.Stops ? ids : throw new ApiException($"stop_token_ids has {ids.Length} ids, at most {limits.Stops} are taken", "stop_token_ids");
    }

    private static bool? IncludesUsage(RequestFields fields)
    {
        if (!fields.TryGet("stream_options", out var value))
            return null;
        if (value.ValueKind != JsonValueKind.Object)
            throw new ApiException($"stream_options must be an object, not {RequestFields.Shown(value)}", "stream_options");
        // include_obfuscation pads events against eavesdroppers who count bytes; without it nothing changes.
        return new RequestFields(value, [Supported("include_usage", "{}", ""), Neutral("include_obfuscation", "{}", "false")]).Flag("include_usage");
    }
}
