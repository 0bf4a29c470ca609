using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.OpenAi;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;
using Grok1Cluster.Coordinator.Http.Requests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using static Grok1Cluster.Coordinator.Http.Requests.ApiField;

namespace Grok1Cluster.Coordinator.Http.Tokens;

/// <summary><c>/tokenize</c>, <c>/detokenize</c>, <c>/tokenizer_info</c>, in the shape that vLLM gave them and evaluators use.</summary>
internal static class TokenRoutes
{
    private static readonly ApiField ModelField = Supported("model", """{"type":"string"}""", "The model's id; may be left out.");

    public static readonly IReadOnlyList<ApiField> TokenizeFields =
    [
        ModelField,
        Supported("prompt", """{"type":"string"}""", "A text, or else messages."),
        ChatMessages.Field,
        Supported("return_token_strs", """{"type":"boolean","default":false}""", "Also the text of each token."),
        Neutral("add_special_tokens", """{"type":"boolean"}""", "true", "false"),
        Neutral("add_generation_prompt", """{"type":"boolean"}""", "true"),
    ];

    public static readonly IReadOnlyList<ApiField> DetokenizeFields = [ModelField, Supported("tokens", """{"type":"array","items":{"type":"integer"}}""", "Token ids.")];

    public static void Map(IEndpointRouteBuilder routes, ApiContext api)
    {
        routes.MapPost("/tokenize", (HttpContext context) => TokenizeAsync(context, api));
        routes.MapPost("/detokenize", (HttpContext context) => DetokenizeAsync(context, api));
        routes.MapGet("/tokenizer_info", (HttpContext context) => context.Response.WriteAsJsonAsync(Info(api.Model), ApiJson.Options, context.RequestAborted));
    }

    private static async Task TokenizeAsync(HttpContext context, ApiContext api)
    {
        var fields = await ReadAsync(context, api, TokenizeFields);
        var text = fields.Text("prompt");
        if (text is null == !fields.TryGet("messages", out _))
            throw new ApiException("give either prompt or messages", "prompt");
        var param = text is null ? "messages" : "prompt";
        var tokens = api.Model.Encode(text ?? api.Template.Apply(ChatMessages.Read(fields, api.Limits)), param);
        var texts = fields.Flag("return_token_strs") ? tokens.Select(api.Model.Texts.Name).ToArray() : null;
        await context.Response.WriteAsJsonAsync(new Tokenized(tokens.Length, api.Model.Config.MaxSequenceLength, tokens, texts), ApiJson.Options, context.RequestAborted);
    }

    private static async Task DetokenizeAsync(HttpContext context, ApiContext api)
    {
        var fields = await ReadAsync(context, api, DetokenizeFields);
        if (!fields.TryGet("tokens", out var value))
            throw new ApiException("tokens is missing; give an array of token ids", "tokens");
        var tokens = RequestFields.TokensOf(value, "tokens", api.Model.Config.VocabularySize);
        var text = (api.Model.Tokenizer ?? throw new ApiException("this model has no tokenizer", null)).Decode(tokens);
        await context.Response.WriteAsJsonAsync(new Detokenized(text), ApiJson.Options, context.RequestAborted);
    }

    private static async Task<RequestFields> ReadAsync(HttpContext context, ApiContext api, IReadOnlyList<ApiField> known)
    {
        var fields = new RequestFields(await JsonBody.ReadAsync(context, api.Limits.JsonDepth), known);
        if (fields.Text("model") is { } asked && asked != api.Model.Id)
            throw api.Model.NotServed(asked);
        return fields;
    }

    private static TokenizerInfo Info(ServedModel model)
    {
        if (model.Tokenizer is not { } tokenizer)
            throw new ApiException("this model has no tokenizer", null) { Status = StatusCodes.Status404NotFound, Code = "no_tokenizer" };
        var config = model.Config;
        return new TokenizerInfo(
            "SentencePieceTokenizer", tokenizer.VocabularySize, config.MaxSequenceLength,
            tokenizer.PieceText(config.BosToken), tokenizer.PieceText(config.EosToken), tokenizer.PieceText(config.PadToken), tokenizer.PieceText(config.UnknownToken),
            config.BosToken, config.EosToken, config.PadToken, config.UnknownToken, AddBosToken: false, AddEosToken: false, ChatTemplate: null);
    }

    /// <param name="TokenStrs">Null if not asked for.</param>
    private sealed record Tokenized(int Count, int MaxModelLen, int[] Tokens, string[]? TokenStrs);

    private sealed record Detokenized(string Prompt);

    /// <param name="ChatTemplate">Null: chats are made into prompts by the server, see /apply-template.</param>
    private sealed record TokenizerInfo(
        string TokenizerClass, int VocabSize, int ModelMaxLength, string BosToken, string EosToken, string PadToken, string UnkToken,
        int BosTokenId, int EosTokenId, int PadTokenId, int UnkTokenId, bool AddBosToken, bool AddEosToken, string? ChatTemplate);
}
