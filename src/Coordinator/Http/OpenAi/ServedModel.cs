using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Tokens;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Tokenizer;
using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Http.OpenAi;

/// <summary>The model as clients see it.</summary>
internal sealed class ServedModel(ClusterSession session)
{
    /// <summary>Its directory's name.</summary>
    public string Id { get; } = session.Store.Name;

    public Grok1Config Config { get; } = session.Store.Config;

    /// <summary>Null where the model has none.</summary>
    public SentencePieceTokenizer? Tokenizer { get; } = session.Tokenizer;

    public TokenTexts Texts { get; } = new(session.Tokenizer);

    /// <summary>Seconds since 1970 at which its store was written.</summary>
    public long Created { get; } = new DateTimeOffset(File.GetLastWriteTimeUtc(session.Store.Directory)).ToUnixTimeSeconds();

    /// <summary>Changes where the weights or the precision do, and with them the numbers.</summary>
    public string Fingerprint { get; } = $"fp_{session.Store.Manifest.Fingerprint[..12]}_{session.Options.Precision.ToString().ToLowerInvariant()}";

    /// <summary>The ids of a text.</summary>
    /// <exception cref="ApiException">The model has no tokenizer.</exception>
    public int[] Encode(string text, string param) =>
        Tokenizer?.Encode(text) ?? throw new ApiException($"this model has no tokenizer, so {param} must be token ids", param);

    /// <summary>The ids of a prompt. A text that is too long whatever its tokens are is refused before it is encoded.</summary>
    /// <param name="text">The prompt.</param>
    /// <param name="maxTokens">As for <see cref="CheckLength"/>, which must follow.</param>
    /// <param name="param">Where the prompt was given.</param>
    /// <exception cref="ApiException">The model has no tokenizer, or the context cannot hold the text.</exception>
    public int[] EncodePrompt(string text, int? maxTokens, string param)
    {
        if (Tokenizer?.CountAtLeast(text) is { } least && !Fits(least, maxTokens))
            throw TooLong(least, maxTokens, param, "at least ");
        return Encode(text, param);
    }

    /// <summary>Refuses what the context cannot hold.</summary>
    /// <param name="promptTokens">Tokens of the prompt.</param>
    /// <param name="maxTokens">Tokens that were asked for; null to take what there is room for, at least one.</param>
    /// <param name="param">Where the prompt was given.</param>
    public void CheckLength(int promptTokens, int? maxTokens, string param)
    {
        if (promptTokens == 0)
            throw new ApiException($"{param} has no tokens; give at least one", param);
        if (!Fits(promptTokens, maxTokens))
            throw TooLong(promptTokens, maxTokens, param, "");
    }

    /// <summary>The answer to a request for another model.</summary>
    public ApiException NotServed(string asked) =>
        new($"the model {(asked.Length > 64 ? $"{asked[..64]}..." : asked)} is not served here, {Id} is", "model") { Status = StatusCodes.Status404NotFound, Code = "model_not_found" };

    private bool Fits(int promptTokens, int? maxTokens) => promptTokens + (long)(maxTokens ?? 1) <= Config.MaxSequenceLength;

    private ApiException TooLong(int promptTokens, int? maxTokens, string param, string bound) => new(
        $"this model's maximum context length is {Config.MaxSequenceLength} tokens, but {bound}{promptTokens + (long)(maxTokens ?? 1)} are needed: {bound}{promptTokens} in {param}, {maxTokens ?? 1} for the completion; shorten either", param)
    {
        Code = "context_length_exceeded",
    };
}
