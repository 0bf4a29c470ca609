using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Grok1Cluster.Client;

/// <summary>
/// Completions from a grok1 coordinator. Safe for any number of threads; one client serves a program. It does not retry:
/// <see cref="CompletionException.RetryAfter"/> says when it makes sense.
/// <example><code>
/// using var client = new CompletionClient(new Uri("http://127.0.0.1:8080"));
/// await foreach (var part in client.StreamAsync(new CompletionRequest { Prompt = "My fellow Americans, ", MaxTokens = 40 }, cancel))
///     foreach (var choice in part.Choices)
///         Console.Write(choice.Text);
/// </code></example>
/// </summary>
public sealed class CompletionClient : IDisposable
{
    private const string EndOfStream = "[DONE]";

    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    private readonly HttpClient _http;

    /// <param name="server">Where the coordinator listens, without a path.</param>
    /// <param name="apiKey">Null for a server without keys.</param>
    /// <param name="handler">What sends; null for one of its own. Disposed with the client.</param>
    public CompletionClient(Uri server, string? apiKey = null, HttpMessageHandler? handler = null)
    {
        // A completion takes as long as it takes: the caller's token ends it.
        _http = new HttpClient(handler ?? new SocketsHttpHandler { ConnectTimeout = TimeSpan.FromSeconds(15) }) { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan };
        if (apiKey is not null)
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", apiKey);
    }

    /// <summary>Waits for the whole completion.</summary>
    /// <exception cref="CompletionException">The server refused or failed.</exception>
    /// <exception cref="HttpRequestException">The server cannot be reached.</exception>
    public async Task<Completion> CompleteAsync(CompletionRequest request, CancellationToken cancel) =>
        await SendAsync<Completion>(HttpMethod.Post, "v1/completions", request, cancel);

    /// <summary>The completion as it is generated, a token at a time; the last part has the usage. Leaving the loop cancels it on the server.</summary>
    /// <inheritdoc cref="CompleteAsync" path="/exception"/>
    public async IAsyncEnumerable<CompletionPart> StreamAsync(CompletionRequest request, [EnumeratorCancellation] CancellationToken cancel)
    {
        var body = JsonSerializer.SerializeToNode(request, Options)!.AsObject();
        body["stream"] = true;
        body["stream_options"] = new JsonObject { ["include_usage"] = true };
        using var response = await SendAsync(HttpMethod.Post, "v1/completions", body, cancel);
        await using var stream = await response.Content.ReadAsStreamAsync(cancel);
        await foreach (var item in SseParser.Create(stream).EnumerateAsync(cancel))
        {
            if (item.Data == EndOfStream)
                yield break;
            yield return Parse(item.Data, RequestId(response));
        }
        throw new CompletionException("the stream ended before the completion did; the server is gone") { RequestId = RequestId(response) };
    }

    /// <summary>The models that are served.</summary>
    /// <inheritdoc cref="CompleteAsync" path="/exception"/>
    public async Task<IReadOnlyList<ServedModel>> ListModelsAsync(CancellationToken cancel) =>
        (await SendAsync<ModelList>(HttpMethod.Get, "v1/models", null, cancel)).Data;

    /// <summary>The token ids of a text.</summary>
    /// <inheritdoc cref="CompleteAsync" path="/exception"/>
    public async Task<IReadOnlyList<int>> TokenizeAsync(string text, CancellationToken cancel) =>
        (await SendAsync<Tokenized>(HttpMethod.Post, "tokenize", new JsonObject { ["prompt"] = text }, cancel)).Tokens;

    /// <summary>The text of token ids.</summary>
    /// <inheritdoc cref="CompleteAsync" path="/exception"/>
    public async Task<string> DetokenizeAsync(IEnumerable<int> tokens, CancellationToken cancel) =>
        (await SendAsync<Detokenized>(HttpMethod.Post, "detokenize", new JsonObject { ["tokens"] = new JsonArray([.. tokens.Select(token => (JsonNode)token)]) }, cancel)).Prompt;

    /// <summary>Closes its connections; what is under way is cancelled.</summary>
    public void Dispose() => _http.Dispose();

    private async Task<T> SendAsync<T>(HttpMethod method, string path, object? body, CancellationToken cancel)
    {
        using var response = await SendAsync(method, path, body, cancel);
        return await response.Content.ReadFromJsonAsync<T>(Options, cancel) ?? throw new CompletionException("the server answered null") { RequestId = RequestId(response) };
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, object? body, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
            request.Content = JsonContent.Create(body, body.GetType(), mediaType: null, Options);
        var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
            throw await RefusedAsync(response, cancel);
    }

    private static async Task<CompletionException> RefusedAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        var text = await response.Content.ReadAsStringAsync(cancel);
        var error = TryParseError(text);
        var wait = response.Headers.RetryAfter;
        return new CompletionException(error?.Message ?? $"the server answered {(int)response.StatusCode} {response.ReasonPhrase}")
        {
            Status = response.StatusCode, Code = error?.Code, Param = error?.Param, RetryAfter = wait?.Delta ?? (wait?.Date - DateTimeOffset.UtcNow), RequestId = RequestId(response),
        };
    }

    private static CompletionPart Parse(string data, string? requestId)
    {
        try
        {
            if (TryParseError(data) is { } error)
                throw new CompletionException(error.Message) { Code = error.Code, Param = error.Param, RequestId = requestId };
            return JsonSerializer.Deserialize<CompletionPart>(data, Options)!;
        }
        catch (JsonException e)
        {
            throw new CompletionException("an event of the stream is not a completion", e) { RequestId = requestId };
        }
    }

    private static ErrorDetail? TryParseError(string text)
    {
        try
        {
            return JsonSerializer.Deserialize<ErrorBody>(text, Options)?.Error;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? RequestId(HttpResponseMessage response) =>
        response.Headers.TryGetValues("X-Request-Id", out var values) ? values.FirstOrDefault() : null;

    private sealed record ModelList(IReadOnlyList<ServedModel> Data);

    private sealed record Tokenized(IReadOnlyList<int> Tokens);

    private sealed record Detokenized(string Prompt);

    private sealed record ErrorBody(ErrorDetail? Error);

    private sealed record ErrorDetail(string Message, string? Param, string? Code);
}
