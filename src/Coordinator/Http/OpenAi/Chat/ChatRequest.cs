using System.Text.Json;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Http.OpenAi.Generation;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Engine.Generation;
using static Grok1Cluster.Coordinator.Http.Requests.ApiField;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Chat;

/// <summary>The body of <c>POST /v1/chat/completions</c>, read and checked.</summary>
internal sealed record ChatRequest
{
    public static readonly IReadOnlyList<ApiField> Known =
    [
        .. GenerationFields.Known,
        ChatMessages.Field,
        Supported("max_completion_tokens", """{"type":"integer","minimum":0}""", "The same as max_tokens, under its newer name."),
        Supported("logprobs", """{"type":"boolean","default":false}""", "Log-probabilities of the answer's tokens."),
        Supported("top_logprobs", """{"type":"integer","minimum":0}""", "With logprobs: so many of the likeliest tokens at each place."),
        Neutral("tools", """{"type":"array"}""", "[]"),
        Neutral("tool_choice", """{"type":"string"}""", "\"none\"", "\"auto\""),
        Neutral("parallel_tool_calls", """{"type":"boolean"}""", "true", "false"),
        Neutral("functions", """{"type":"array"}""", "[]"),
        Neutral("function_call", """{"type":"string"}""", "\"none\"", "\"auto\""),
        Neutral("modalities", """{"type":"array"}""", "[\"text\"]"),
        Neutral("add_generation_prompt", """{"type":"boolean"}""", "true"),
        Neutral("continue_final_message", """{"type":"boolean"}""", "false"),
        Refused("audio", "the model writes text alone"), Refused("prediction", "use the server's --draft-tokens"), Refused("reasoning_effort", "the model is a base model"),
        Refused("verbosity", "the model is a base model"), Refused("web_search_options", "there are no tools"), Refused("chat_template", "the server's --chat-template decides"),
    ];

    public required GenerationFields Generation { get; init; }

    public required int[] Prompt { get; init; }

    /// <summary>Likeliest tokens to tell; null for no log-probabilities.</summary>
    public int? Logprobs { get; private init; }

    /// <summary>As the engine takes it, but for prompt and seed.</summary>
    public GenerationRequest ToEngine(ApiLimits limits) => new()
    {
        Prompt = [],
        // The engine ends it where the context does.
        MaxTokens = Generation.MaxTokens ?? limits.Tokens ?? int.MaxValue,
        MinTokens = Generation.MinTokens,
        Sampling = Generation.Sampling,
        IgnoreEos = Generation.IgnoreEos,
        StopTokens = Generation.StopTokens,
        Logprobs = Logprobs,
        RoutedExperts = Generation.RoutedExperts,
    };

    /// <exception cref="ApiException">A field is unknown, not supported, of the wrong type or out of range.</exception>
    public static ChatRequest Read(JsonElement body, ServedModel model, ChatTemplate template, ApiLimits limits)
    {
        var fields = new RequestFields(body, Known);
        if (fields.TryGet("max_tokens", out _) && fields.TryGet("max_completion_tokens", out _))
            throw new ApiException("max_tokens and max_completion_tokens are the same; give one", "max_tokens");
        var generation = GenerationFields.Read(fields, fields.TryGet("max_tokens", out _) ? "max_tokens" : "max_completion_tokens", model, limits);
        var top = fields.Integer("top_logprobs", 0, Math.Min(limits.Logprobs, model.Config.VocabularySize));
        var logprobs = fields.Flag("logprobs");
        if (top is not null && !logprobs)
            throw new ApiException("top_logprobs needs logprobs: true", "top_logprobs");
        var prompt = model.EncodePrompt(template.Apply(ChatMessages.Read(fields, limits)), generation.MaxTokens, "messages");
        model.CheckLength(prompt.Length, generation.MaxTokens, "messages");
        return new ChatRequest
        {
            Generation = generation with { Stops = [.. generation.Stops, .. template.Stop] },
            Prompt = prompt,
            Logprobs = logprobs ? top ?? 0 : null,
        };
    }
}
