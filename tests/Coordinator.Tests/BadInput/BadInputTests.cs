using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Grok1Cluster.Coordinator.Tests.Support;

namespace Grok1Cluster.Coordinator.Tests.BadInput;

/// <summary>Whatever is sent, the answer is a 4xx that names the field, and the server lives on.</summary>
public class BadInputTests(SharedServer shared) : IClassFixture<SharedServer>
{
    private const string Completions = "/v1/completions", Chat = "/v1/chat/completions";

    /// <summary>Path, body, status, the error's param, a part of its message.</summary>
    public static TheoryData<string, string, int, string?, string> Cases => new()
    {
        { "/cluster/join", """{"address":"nonsense"}""", 400, "address", "'nonsense' is no address" },
        // Not a JSON object.
        { Completions, "", 400, null, "body is empty" },
        { Completions, "{", 400, null, "not valid JSON" },
        { Completions, "null", 400, null, "must be a JSON object" },
        { Completions, "[]", 400, null, "must be a JSON object" },
        { Completions, "\"text\"", 400, null, "must be a JSON object" },
        { Completions, "{\"prompt\":[1]} {}", 400, null, "not valid JSON" },
        { Completions, "{\"prompt\":[1],}", 400, null, "not valid JSON" },
        { Completions, "{\"prompt\":[1],\"temperature\":NaN}", 400, null, "not valid JSON" },
        { Completions, "{\"prompt\":[1],\"temperature\":Infinity}", 400, null, "not valid JSON" },
        { Completions, "{\"prompt\":[1],\"n\":1,\"n\":2}", 400, null, "not valid JSON" },
        { Completions, "{\"prompt\":" + new string('[', 40) + new string(']', 40) + "}", 400, null, "depth" },
        // Fields that are not there or not served.
        { Completions, """{"prompt":[1],"unheard_of":1}""", 400, "unheard_of", "unheard_of is not a field" },
        { Completions, """{"prompt":[1],"messages":[]}""", 400, "messages", "not a field" },
        { Completions, """{"prompt":[1],"suffix":"x"}""", 400, "suffix", "suffix is not supported" },
        { Completions, """{"prompt":[1],"best_of":2}""", 400, "best_of", "best_of is 2" },
        { Completions, """{"prompt":[1],"response_format":{"type":"json_object"}}""", 400, "response_format", "response_format is not supported" },
        { Completions, """{"prompt":[1],"use_beam_search":true}""", 400, "use_beam_search", "not supported" },
        { Completions, """{"prompt":[1],"guided_json":{}}""", 400, "guided_json", "not supported" },
        { Completions, """{"prompt":[1],"prompt_logprobs":1}""", 400, "prompt_logprobs", "echo with logprobs" },
        // The prompt.
        { Completions, """{"max_tokens":3}""", 400, "prompt", "prompt is missing" },
        { Completions, """{"prompt":null}""", 400, "prompt", "prompt is missing" },
        { Completions, """{"prompt":5}""", 400, "prompt", "must be a string" },
        { Completions, """{"prompt":{}}""", 400, "prompt", "must be a string" },
        { Completions, """{"prompt":""}""", 400, "prompt", "no tokens" },
        { Completions, """{"prompt":[]}""", 400, "prompt", "no tokens" },
        { Completions, """{"prompt":[[]]}""", 400, "prompt", "no tokens" },
        { Completions, """{"prompt":["a",""]}""", 400, "prompt", "no tokens" },
        { Completions, """{"prompt":[1,"x"]}""", 400, "prompt", "prompt[1] is not a token id" },
        { Completions, """{"prompt":[1,2.5]}""", 400, "prompt", "prompt[1] is not a token id" },
        { Completions, """{"prompt":[1,1e400]}""", 400, "prompt", "prompt[1] is not a token id" },
        { Completions, """{"prompt":["a",5]}""", 400, "prompt[1]", "prompt[1] must be a string" },
        { Completions, """{"prompt":[[1],"a"]}""", 400, "prompt[1]", "prompt[1] must be an array" },
        { Completions, """{"prompt":[[1],[2,[3]]]}""", 400, "prompt[1]", "prompt[1][1] is not a token id" },
        { Completions, """{"prompt":[true]}""", 400, "prompt", "prompt[0] is not a token id" },
        { Completions, """{"prompt":[2048]}""", 400, "prompt", "outside the vocabulary of 2048" },
        { Completions, """{"prompt":[-1]}""", 400, "prompt", "prompt[0] is -1" },
        { Completions, """{"prompt":[99999999999999999999]}""", 400, "prompt", "prompt[0] is not a token id" },
        { Completions, """{"prompt":"\ud800"}""", 400, "prompt", "surrogate" },
        { Completions, $$"""{"prompt":[{{string.Join(',', Enumerable.Repeat(7, 600))}}]}""", 400, "prompt", "maximum context length is 512 tokens" },
        { Completions, """{"prompt":[1,2,3],"max_tokens":510}""", 400, "prompt", "maximum context length is 512 tokens" },
        // Refused by their length, before they are encoded.
        { Completions, $$"""{"prompt":"{{new string('a', 100_000)}}"}""", 400, "prompt", "maximum context length is 512 tokens, but at least " },
        { Completions, $$"""{"prompt":["a","{{new string('a', 100_000)}}"]}""", 400, "prompt", "maximum context length is 512 tokens, but at least " },
        { Chat, $$"""{"messages":[{"role":"user","content":"{{new string('a', 100_000)}}"}]}""", 400, "messages", "maximum context length is 512 tokens, but at least " },
        { Completions, $$"""{"prompt":[{{string.Join(',', Enumerable.Repeat("\"a\"", 200))}}]}""", 400, "prompt", "at most 128" },
        // The model.
        { Completions, """{"prompt":[1],"model":"other"}""", 404, "model", "the model other is not served" },
        { Completions, """{"prompt":[1],"model":5}""", 400, "model", "model must be a string" },
        // Numbers.
        { Completions, """{"prompt":[1],"max_tokens":-1}""", 400, "max_tokens", "max_tokens must be" },
        { Completions, """{"prompt":[1],"max_tokens":1.5}""", 400, "max_tokens", "max_tokens must be" },
        { Completions, """{"prompt":[1],"max_tokens":"5"}""", 400, "max_tokens", "max_tokens must be" },
        { Completions, """{"prompt":[1],"max_tokens":1e18}""", 400, "max_tokens", "max_tokens must be" },
        { Completions, """{"prompt":[1],"max_tokens":2,"min_tokens":3}""", 400, "min_tokens", "min_tokens is 3" },
        { Completions, """{"prompt":[1],"min_tokens":-3}""", 400, "min_tokens", "min_tokens must be" },
        { Completions, """{"prompt":[1],"temperature":-0.1}""", 400, "temperature", "temperature must be a number from 0 to 2" },
        { Completions, """{"prompt":[1],"temperature":2.1}""", 400, "temperature", "temperature must be" },
        { Completions, """{"prompt":[1],"temperature":1e999}""", 400, "temperature", "temperature must be" },
        { Completions, """{"prompt":[1],"temperature":"hot"}""", 400, "temperature", "temperature must be" },
        { Completions, """{"prompt":[1],"top_p":0}""", 400, "top_p", "top_p must be above 0" },
        { Completions, """{"prompt":[1],"top_p":1.01}""", 400, "top_p", "top_p must be" },
        { Completions, """{"prompt":[1],"top_k":-2}""", 400, "top_k", "top_k must be" },
        { Completions, """{"prompt":[1],"top_k":0.5}""", 400, "top_k", "top_k must be" },
        { Completions, """{"prompt":[1],"min_p":1.5}""", 400, "min_p", "min_p must be" },
        { Completions, """{"prompt":[1],"repetition_penalty":0}""", 400, "repetition_penalty", "repetition_penalty must be" },
        { Completions, """{"prompt":[1],"presence_penalty":2.5}""", 400, "presence_penalty", "presence_penalty must be" },
        { Completions, """{"prompt":[1],"frequency_penalty":-2.5}""", 400, "frequency_penalty", "frequency_penalty must be" },
        { Completions, """{"prompt":[1],"seed":1.5}""", 400, "seed", "seed must be" },
        { Completions, """{"prompt":[1],"seed":99999999999999999999}""", 400, "seed", "seed must be" },
        { Completions, """{"prompt":[1],"n":0}""", 400, "n", "n must be" },
        { Completions, """{"prompt":[1],"n":17}""", 400, "n", "n must be a whole number from 1 to 16" },
        { Completions, """{"prompt":[1],"logprobs":21}""", 400, "logprobs", "logprobs must be" },
        { Completions, """{"prompt":[1],"logprobs":true}""", 400, "logprobs", "logprobs must be" },
        // Flags, stops, bias.
        { Completions, """{"prompt":[1],"echo":"yes"}""", 400, "echo", "echo must be true or false" },
        { Completions, """{"prompt":[1],"stream":1}""", 400, "stream", "stream must be true or false" },
        { Completions, """{"prompt":[1],"stream_options":{"include_usage":true}}""", 400, "stream_options", "only for stream: true" },
        { Completions, """{"prompt":[1],"stream":true,"stream_options":[]}""", 400, "stream_options", "stream_options must be an object" },
        { Completions, """{"prompt":[1],"stream":true,"stream_options":{"chunks":1}}""", 400, "chunks", "chunks is not a field" },
        { Completions, """{"prompt":[1],"stop":5}""", 400, "stop", "stop must be a string" },
        { Completions, """{"prompt":[1],"stop":[""]}""", 400, "stop", "empty string" },
        { Completions, """{"prompt":[1],"stop":["a",null]}""", 400, "stop", "stop must be a string" },
        { Completions, $$"""{"prompt":[1],"stop":["{{new string('x', 300)}}"]}""", 400, "stop", "300 characters" },
        { Completions, """{"prompt":[1],"stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"]}""", 400, "stop", "at most 16" },
        { Completions, """{"prompt":[1],"stop_token_ids":[4096]}""", 400, "stop_token_ids", "outside the vocabulary" },
        { Completions, """{"prompt":[1],"logit_bias":[]}""", 400, "logit_bias", "logit_bias must be an object" },
        { Completions, """{"prompt":[1],"logit_bias":{"x":1}}""", 400, "logit_bias", "'x' is not a token id" },
        { Completions, """{"prompt":[1],"logit_bias":{"2048":1}}""", 400, "logit_bias", "'2048' is not a token id" },
        { Completions, """{"prompt":[1],"logit_bias":{"7":101}}""", 400, "logit_bias[7]", "logit_bias[7] must be" },
        // Chats.
        { Chat, """{"max_tokens":3}""", 400, "messages", "messages is missing" },
        { Chat, """{"messages":[]}""", 400, "messages", "at least one message" },
        { Chat, """{"messages":"hi"}""", 400, "messages", "must be an array" },
        { Chat, """{"messages":["hi"]}""", 400, "messages", "messages[0] must be an object" },
        { Chat, """{"messages":[{"content":"hi"}]}""", 400, "messages", "messages[0].role is missing" },
        { Chat, """{"messages":[{"role":"user"}]}""", 400, "messages", "messages[0].content is missing" },
        { Chat, """{"messages":[{"role":"robot","content":"hi"}]}""", 400, "messages", "messages[0].role must be" },
        { Chat, """{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}""", 400, "messages", "not of type text" },
        { Chat, """{"messages":[{"role":"user","content":"hi","name":"x"}]}""", 400, "name", "name is not supported" },
        { Chat, """{"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function"}]}""", 400, "tools", "tools is not supported" },
        { Chat, """{"messages":[{"role":"user","content":"hi"}],"logprobs":1}""", 400, "logprobs", "true or false" },
        { Chat, """{"messages":[{"role":"user","content":"hi"}],"top_logprobs":2}""", 400, "top_logprobs", "needs logprobs" },
        { Chat, """{"messages":[{"role":"user","content":"hi"}],"max_tokens":2,"max_completion_tokens":3}""", 400, "max_tokens", "are the same" },
        // Tokens.
        { "/tokenize", "{}", 400, "prompt", "either prompt or messages" },
        { "/tokenize", """{"prompt":5}""", 400, "prompt", "prompt must be a string" },
        { "/detokenize", "{}", 400, "tokens", "tokens is missing" },
        { "/detokenize", """{"tokens":[3000]}""", 400, "tokens", "outside the vocabulary" },
        { "/detokenize", """{"tokens":"5"}""", 400, "tokens", "must be an array" },
        { "/apply-template", "{}", 400, "messages", "messages is missing" },
        { "/v1/engines", "{}", 404, null, "there is nothing at POST /v1/engines" },
        { "/v1/models", "{}", 405, null, "does not take POST" },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task It_gets_a_status_and_a_message_that_names_the_field(string path, string body, int status, string? param, string message)
    {
        using var response = await shared.Server.SendAsync(path, body);
        await AssertErrorAsync(response, status, param, message);
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData(null)]
    public async Task Another_content_type_is_refused(string? type)
    {
        var content = new ByteArrayContent("""{"prompt":[1]}"""u8.ToArray());
        content.Headers.ContentType = type is null ? null : new MediaTypeHeaderValue(type);
        using var response = await shared.Server.Client.PostAsync(Completions, content);
        await AssertErrorAsync(response, 415, "Content-Type", "must be application/json");
    }

    [Fact]
    public async Task Bytes_that_are_not_utf8_are_refused()
    {
        var content = new ByteArrayContent([.. "{\"prompt\":\""u8, 0xC3, 0x28, .. "\"}"u8]) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
        using var response = await shared.Server.Client.PostAsync(Completions, content);
        await AssertErrorAsync(response, 400, null, "not valid UTF-8");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // without a Content-Length it is found out while it is read
    public async Task A_body_over_the_limit_is_refused(bool chunked)
    {
        var body = Encoding.UTF8.GetBytes($$"""{"prompt":"{{new string('a', 17 << 20)}}"}""");
        using var request = new HttpRequestMessage(HttpMethod.Post, Completions)
        {
            Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } },
            Headers = { TransferEncodingChunked = chunked, ExpectContinue = true },
        };
        using var response = await shared.Server.Client.SendAsync(request);
        await AssertErrorAsync(response, 413, null, "too large");
    }

    [Fact]
    public async Task Neutral_values_and_bookkeeping_are_accepted()
    {
        var answer = await shared.Server.CompleteAsync("""
            {"prompt":[5],"max_tokens":1,"ignore_eos":true,"n":1,"best_of":1,"suffix":null,"response_format":{"type":"text"},"user":"u","store":true,"metadata":{"a":"b"},
             "stop":null,"logit_bias":{},"stream":false,"presence_penalty":0,"seed":null,"logprobs":null,"use_beam_search":false,"service_tier":"auto"}
            """);
        Assert.Equal(1, answer.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
    }

    private async Task AssertErrorAsync(HttpResponseMessage response, int status, string? param, string message)
    {
        var text = await response.Content.ReadAsStringAsync();
        var error = JsonElement.Parse(text).GetProperty("error");
        Assert.True(status == (int)response.StatusCode, $"{(int)response.StatusCode}: {text}");
        Assert.Equal(["message", "type", "param", "code"], error.EnumerateObject().Select(property => property.Name));
        Assert.Contains(message, error.GetProperty("message").GetString());
        Assert.Equal(param, error.GetProperty("param").GetString());
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
        Assert.NotEmpty(error.GetProperty("code").GetString()!);
        Assert.Equal(HttpStatusCode.OK, (await shared.Server.SendAsync(Completions, """{"prompt":[5],"max_tokens":1}""")).StatusCode);
    }
}
