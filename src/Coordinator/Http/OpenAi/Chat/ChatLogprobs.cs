using Grok1Cluster.Coordinator.Http.Tokens;
using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Chat;

/// <summary>Log-probabilities in the shape of chats: a list of tokens.</summary>
internal sealed record ChatLogprobs(IReadOnlyList<ChatTokenLogprob> Content, object? Refusal)
{
    public static ChatLogprobs Of(IEnumerable<TokenLogprobs> tokens, TokenTexts texts) =>
        new([.. tokens.Select(token => new ChatTokenLogprob(
            texts.Name(token.Token), token.Logprob, Bytes(texts, token.Token),
            [.. token.Top.Select(top => new ChatTopLogprob(texts.Name(top.Token), top.Logprob, Bytes(texts, top.Token)))]))], null);

    private static int[] Bytes(TokenTexts texts, int token) => [.. texts.Bytes(token).Select(value => (int)value)];
}

/// <param name="Bytes">The token's UTF-8 bytes.</param>
internal sealed record ChatTokenLogprob(string Token, float Logprob, int[] Bytes, IReadOnlyList<ChatTopLogprob> TopLogprobs);

internal sealed record ChatTopLogprob(string Token, float Logprob, int[] Bytes);
