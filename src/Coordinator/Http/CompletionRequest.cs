using System.Text.Json;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>The body of <c>POST /v1/completions</c>: one prompt, the sampling fields, streaming. Any other field is refused by name.</summary>
internal sealed record CompletionRequest
{
    /// <summary>A text, or an array of token ids.</summary>
    public required JsonElement Prompt { get; init; }

    public string? Model { get; init; }

    /// <summary>16 by default, as OpenAI's.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>1 by default, as OpenAI's; 0 is greedy.</summary>
    public float? Temperature { get; init; }

    public float? TopP { get; init; }

    public int? TopK { get; init; }

    public float? MinP { get; init; }

    public float? RepetitionPenalty { get; init; }

    public ulong? Seed { get; init; }

    public bool? IgnoreEos { get; init; }

    public bool? Stream { get; init; }

    /// <summary>As the engine takes it.</summary>
    /// <exception cref="ApiException">A field is out of range, or the prompt is neither text nor ids.</exception>
    public GenerationRequest ToEngine(SentencePieceTokenizer? tokenizer, string model)
    {
        if (Model is not null && Model != model)
            throw new ApiException($"the model {Model} is not served here, {model} is", "model");
        if (MaxTokens < 1)
            throw new ApiException($"max_tokens is {MaxTokens}, it must be at least 1", "max_tokens");
        var sampling = new SamplingOptions
        {
            Temperature = Temperature ?? 1, TopP = TopP ?? 1, TopK = TopK ?? 0, MinP = MinP ?? 0, RepetitionPenalty = RepetitionPenalty ?? 1, Seed = Seed,
        };
        if (sampling.FindErrors() is [var error, ..])
            throw new ApiException(error, null);
        return new GenerationRequest { Prompt = Tokens(tokenizer), MaxTokens = MaxTokens ?? 16, Sampling = sampling, IgnoreEos = IgnoreEos ?? false };
    }

    private int[] Tokens(SentencePieceTokenizer? tokenizer)
    {
        switch (Prompt.ValueKind)
        {
            case JsonValueKind.String when tokenizer is null:
                throw new ApiException("this model has no tokenizer, so the prompt must be token ids", "prompt");
            case JsonValueKind.String:
                return tokenizer.Encode(Prompt.GetString()!);
            case JsonValueKind.Array:
                var ids = new int[Prompt.GetArrayLength()];
                for (var i = 0; i < ids.Length; i++)
                    if (Prompt[i].ValueKind != JsonValueKind.Number || !Prompt[i].TryGetInt32(out ids[i]))
                        throw new ApiException($"prompt[{i}] is not a token id", "prompt");
                return ids;
            default:
                throw new ApiException("the prompt must be a string or an array of token ids", "prompt");
        }
    }
}
