using System.Text.Json;
using Grok1Cluster.Coordinator.Http;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;
using Grok1Cluster.Coordinator.Tests.Support;

namespace Grok1Cluster.Coordinator.Tests.Chat;

public class ChatTests(SharedServer shared) : IClassFixture<SharedServer>
{
    private const string Messages = """[{"role":"system","content":"Speak well."},{"role":"user","content":[{"type":"text","text":"Hello"},{"type":"text","text":"!"}]}]""";

    private readonly TestServer _server = shared.Server;

    [Fact]
    public async Task A_chat_is_the_completion_of_the_prompt_that_apply_template_shows()
    {
        var prompt = (await _server.PostAsync("/apply-template", $$"""{"messages":{{Messages}}}""")).GetProperty("prompt").GetString();
        Assert.Equal("Speak well.\n\nUser: Hello!\n\nAssistant:", prompt);
        var completion = await _server.CompleteAsync($$"""{"prompt":{{JsonSerializer.Serialize(prompt)}},"max_tokens":12,"temperature":0,"stop":"\nUser:"}""");
        var chat = await _server.PostAsync("/v1/chat/completions", $$"""{"messages":{{Messages}},"max_tokens":12,"temperature":0}""");
        Assert.Equal(["id", "object", "created", "model", "choices", "system_fingerprint", "usage"], chat.EnumerateObject().Select(field => field.Name));
        Assert.Equal(["index", "message", "logprobs", "finish_reason"], chat.Choice().EnumerateObject().Select(field => field.Name));
        Assert.Equal("chat.completion", chat.GetProperty("object").GetString());
        Assert.Equal(completion.Choice().Text(), chat.Choice().GetProperty("message").GetProperty("content").GetString());
        Assert.Equal(completion.Usage("prompt_tokens"), chat.Usage("prompt_tokens"));
    }

    [Fact]
    public async Task A_streamed_chat_begins_with_the_role_and_adds_up_to_the_whole()
    {
        var request = $$"""{"messages":{{Messages}},"max_completion_tokens":9,"seed":3,"logprobs":true,"top_logprobs":2,"n":2""";
        var whole = await _server.PostAsync("/v1/chat/completions", request + "}");
        var events = await _server.StreamAsync("/v1/chat/completions", request + ""","stream":true,"stream_options":{"include_usage":true}}""");
        Assert.Equal(whole.Usage("total_tokens"), events[^1].Usage("total_tokens"));
        for (var choice = 0; choice < 2; choice++)
        {
            var parts = events.SelectMany(item => item.GetProperty("choices").EnumerateArray()).Where(part => part.GetProperty("index").GetInt32() == choice).ToArray();
            Assert.Equal("assistant", parts[0].GetProperty("delta").GetProperty("role").GetString());
            var text = string.Concat(parts.Select(part => part.GetProperty("delta").TryGetProperty("content", out var content) ? content.GetString() : ""));
            Assert.Equal(whole.Choice(choice).GetProperty("message").GetProperty("content").GetString(), text);
            var tokens = whole.Choice(choice).GetProperty("logprobs").GetProperty("content").EnumerateArray().ToArray();
            Assert.Equal(9, tokens.Length);
            Assert.All(tokens, token => Assert.Equal(2, token.GetProperty("top_logprobs").GetArrayLength()));
            Assert.Equal(
                tokens.Select(token => token.GetRawText()),
                parts.Where(part => part.GetProperty("logprobs").ValueKind == JsonValueKind.Object).Select(part => part.GetProperty("logprobs").GetProperty("content")[0].GetRawText()));
            Assert.Equal("length", parts[^1].Reason());
        }
    }

    [Fact]
    public async Task Without_max_tokens_the_answer_may_fill_the_context()
    {
        var chat = await _server.PostAsync("/v1/chat/completions", $$"""{"messages":{{Messages}},"ignore_eos":true,"logit_bias":{"700":100},"temperature":0}""");
        Assert.Equal(512, chat.Usage("total_tokens"));
        Assert.Equal("length", chat.Choice().Reason());
    }

    [Fact]
    public async Task Every_answer_names_the_template_and_a_file_can_be_one()
    {
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, """{"system":"[{content}]","user":"Q: {content}\n","assistant":"A: {content}\n","generation":"A:","stop":["\nQ:"]}""");
        await using var server = await TestServer.StartAsync(new ApiOptions { Template = ChatTemplate.Parse(file) });
        File.Delete(file);
        using var response = await server.SendAsync("/apply-template", $$"""{"messages":{{Messages}}}""");
        Assert.Equal("[Speak well.]Q: Hello!\nA:", JsonElement.Parse(await response.Content.ReadAsStringAsync()).GetProperty("prompt").GetString());
        Assert.Equal([Path.GetFileName(file)], response.Headers.GetValues("X-Grok1-Chat-Template"));
        using var refused = await _server.SendAsync("/v1/chat/completions", "{}");
        Assert.Equal(["plain"], refused.Headers.GetValues("X-Grok1-Chat-Template"));
    }

    [Theory]
    [InlineData("{", "it is not valid JSON: ")]
    [InlineData("null", "the whole is null, expected is an object with system, user, assistant, generation, stop")]
    [InlineData("""{"system":"{content}","user":"{content}","assistant":"{content}"}""", "the whole lacks generation")]
    [InlineData("""{"system":"{content}","user":null,"assistant":"{content}","generation":""}""", "user is null, expected is a text")]
    [InlineData("""{"system":"{content}","user":"no place","assistant":"{content}","generation":""}""", "must each contain {content}")]
    [InlineData("""{"system":"{content}","user":"{content}","assistant":"{content}","generation":"","stop":[""]}""", "stop has an empty string")]
    [InlineData("""{"system":"{content}","user":"{content}","assistant":"{content}","generation":"","stop":[5]}""", "stop[0] is the number 5, expected is a text")]
    [InlineData("""{"system":"{content}","user":"{content}","assistant":"{content}","generation":"","other":1}""", "other is not known, expected are system, user, assistant, generation, stop")]
    public void A_file_that_is_no_template_is_refused_with_what_is_wrong(string text, string problem)
    {
        var file = Path.GetTempFileName();
        File.WriteAllText(file, text);
        var message = Assert.Throws<FormatException>(() => ChatTemplate.Parse(file)).Message;
        Assert.StartsWith(file, message);
        Assert.Contains(problem, message);
        File.Delete(file);
    }
}
