using System.Text.Json;
using Grok1Cluster.Coordinator.Tests.Support;

namespace Grok1Cluster.Coordinator.Tests.Completions;

public class CompletionTests(SharedServer shared) : IClassFixture<SharedServer>
{
    private readonly TestServer _server = shared.Server;

    [Fact]
    public async Task The_answer_has_the_fields_of_OpenAI()
    {
        var answer = await _server.CompleteAsync("""{"model":"demo","prompt":"My fellow","max_tokens":4}""");
        Assert.Equal(["id", "object", "created", "model", "choices", "system_fingerprint", "usage"], answer.EnumerateObject().Select(field => field.Name));
        Assert.Equal(["text", "index", "logprobs", "finish_reason"], answer.Choice().EnumerateObject().Select(field => field.Name));
        Assert.StartsWith("cmpl-", answer.GetProperty("id").GetString());
        Assert.Equal("text_completion", answer.GetProperty("object").GetString());
        Assert.Equal("demo", answer.GetProperty("model").GetString());
        Assert.Equal(JsonValueKind.Null, answer.Choice().GetProperty("logprobs").ValueKind);
        Assert.Equal("length", answer.Choice().Reason());
        Assert.Equal((4, 4, 8), (answer.Usage("prompt_tokens"), answer.Usage("completion_tokens"), answer.Usage("total_tokens")));
    }

    [Fact]
    public async Task Every_form_of_prompt_gives_the_same_text()
    {
        var ids = (await _server.PostAsync("/tokenize", """{"prompt":"The people"}""")).GetProperty("tokens").GetRawText();
        var answers = new List<string>();
        foreach (var prompt in new[] { "\"The people\"", "[\"The people\"]", ids, $"[{ids}]" })
            answers.Add((await _server.CompleteAsync($$"""{"prompt":{{prompt}},"max_tokens":8,"temperature":0}""")).Choice().Text());
        Assert.Single(answers.Distinct());
    }

    [Fact]
    public async Task A_stream_has_one_event_a_token_and_adds_up_to_the_whole()
    {
        const string Request = "\"prompt\":[\"The people\",\"We must\"],\"n\":2,\"max_tokens\":9,\"seed\":11,\"echo\":true,\"logprobs\":3,\"return_routed_experts\":true";
        var whole = await _server.CompleteAsync($"{{{Request}}}");
        var events = await _server.StreamAsync("/v1/completions", $"{{{Request},\"stream\":true,\"stream_options\":{{\"include_usage\":true}}}}");
        Assert.Equal(whole.GetProperty("usage").GetProperty("total_tokens").GetInt32(), events[^1].Usage("total_tokens"));
        Assert.Equal(0, events[^1].GetProperty("choices").GetArrayLength());
        Assert.All(events.SkipLast(1), item => Assert.Equal(JsonValueKind.Null, item.GetProperty("usage").ValueKind));
        for (var choice = 0; choice < 4; choice++)
        {
            var parts = events.SelectMany(item => item.GetProperty("choices").EnumerateArray()).Where(part => part.GetProperty("index").GetInt32() == choice).ToArray();
            Assert.Equal(1 + 9 + 1, parts.Length); // the prompt, each token, the end
            Assert.Equal(whole.Choice(choice).Text(), events.StreamedText(choice));
            Assert.Equal(whole.Choice(choice).Reason(), parts[^1].Reason());
            var told = parts.Where(part => part.GetProperty("logprobs").ValueKind != JsonValueKind.Null).ToArray();
            Assert.Equal(whole.Choice(choice).Tokens(), told.SelectMany(part => part.Tokens()));
            Assert.Equal(whole.Choice(choice).Logprobs(), told.SelectMany(part => part.Logprobs()));
            Assert.Equal(Offsets(whole.Choice(choice)), told.SelectMany(Offsets));
            var experts = parts.Where(part => part.TryGetProperty("routed_experts", out _)).SelectMany(part => part.GetProperty("routed_experts").EnumerateArray());
            Assert.Equal(whole.Choice(choice).GetProperty("routed_experts").GetRawText(), $"[{string.Join(',', experts.Select(position => position.GetRawText()))}]");
        }
    }

    [Fact]
    public async Task Choice_i_of_n_is_what_seed_plus_i_gives_and_the_prompt_is_computed_once()
    {
        var prompt = string.Join(',', Enumerable.Range(0, 200).Select(i => 100 + i * 37 % 900));
        var before = _server.Engine.Statistics.PromptTokens;
        var together = await _server.CompleteAsync($$"""{"prompt":[{{prompt}}],"n":4,"max_tokens":6,"seed":50,"ignore_eos":true}""");
        // Each of the others computes what is behind the last full block of 32.
        Assert.InRange(_server.Engine.Statistics.PromptTokens - before, 200, 200 + 3 * 32);
        Assert.Equal(200, together.Usage("prompt_tokens"));
        Assert.Equal(24, together.Usage("completion_tokens"));
        for (var i = 0; i < 4; i++)
            Assert.Equal(
                (await _server.CompleteAsync($$"""{"prompt":[{{prompt}}],"max_tokens":6,"seed":{{50 + i}},"ignore_eos":true}""")).Choice().Text(), together.Choice(i).Text());
        Assert.True(Enumerable.Range(0, 4).Select(i => together.Choice(i).Text()).Distinct().Count() > 1);
    }

    [Fact]
    public async Task A_stop_string_across_tokens_ends_the_text_before_it_whole_and_streamed()
    {
        const string Request = "\"prompt\":\"The people of\",\"max_tokens\":40,\"temperature\":0,\"logprobs\":0";
        var free = (await _server.CompleteAsync($"{{{Request}}}")).Choice();
        var (text, tokens) = (free.Text(), free.Tokens());
        // From the middle of one token into the next.
        var cut = tokens.Take(6).Sum(token => token.Length) - 1;
        var stop = JsonSerializer.Serialize(text.Substring(cut, 3));
        var expected = text[..text.IndexOf(text.Substring(cut, 3), StringComparison.Ordinal)];
        var stopped = await _server.CompleteAsync($"{{{Request},\"stop\":[\"never in it\",{stop}]}}");
        Assert.Equal(expected, stopped.Choice().Text());
        Assert.Equal("stop", stopped.Choice().Reason());
        Assert.InRange(stopped.Choice().Tokens().Length, 1, 6);
        Assert.True(stopped.Usage("completion_tokens") < 40);
        var events = await _server.StreamAsync("/v1/completions", $"{{{Request},\"stop\":{stop},\"stream\":true}}");
        Assert.Equal(expected, events.StreamedText());
        Assert.Equal("stop", events[^1].Choice().Reason());
        await _server.WaitUntilIdleAsync();
    }

    [Fact]
    public async Task Bytes_that_never_become_a_character_are_told_as_replacement_characters()
    {
        // The demo has no piece for it, so its four bytes are four tokens, of which the first is never complete alone.
        var emoji = await _server.PostAsync("/tokenize", """{"prompt":"The😀","return_token_strs":true}""");
        var strings = emoji.GetProperty("token_strs").EnumerateArray().Select(text => text.GetString()).ToList();
        var first = emoji.GetProperty("tokens")[strings.IndexOf("bytes:\\xf0")].GetInt32();
        var request = $$"""{"prompt":"The","max_tokens":3,"temperature":0,"logprobs":0,"logit_bias":{"{{first}}":100}""";
        var whole = (await _server.CompleteAsync(request + "}")).Choice();
        Assert.Equal("\uFFFD\uFFFD\uFFFD", whole.Text());
        Assert.Equal(["bytes:\\xf0", "bytes:\\xf0", "bytes:\\xf0"], whole.Tokens());
        Assert.Equal("\uFFFD\uFFFD\uFFFD", (await _server.StreamAsync("/v1/completions", request + ",\"stream\":true}")).StreamedText());
    }

    [Fact]
    public async Task The_end_of_sequence_token_ends_the_text_unless_it_may_not()
    {
        const string Request = "\"prompt\":\"The\",\"max_tokens\":5,\"temperature\":0,\"logit_bias\":{\"2\":100}";
        var ended = await _server.CompleteAsync($"{{{Request}}}");
        Assert.Equal(("", "stop", 0), (ended.Choice().Text(), ended.Choice().Reason(), ended.Usage("completion_tokens")));
        var atLeast = await _server.CompleteAsync($"{{{Request},\"min_tokens\":3}}");
        Assert.Equal(("stop", 3), (atLeast.Choice().Reason(), atLeast.Usage("completion_tokens")));
        var ignored = await _server.CompleteAsync($"{{{Request},\"ignore_eos\":true}}");
        Assert.Equal(("length", 5), (ignored.Choice().Reason(), ignored.Usage("completion_tokens")));
        var other = await _server.CompleteAsync("""{"prompt":"The","max_tokens":5,"temperature":0,"logit_bias":{"700":100},"stop_token_ids":[700]}""");
        Assert.Equal(("", "stop"), (other.Choice().Text(), other.Choice().Reason()));
    }

    [Fact]
    public async Task Penalties_make_repetition_end()
    {
        // A bias that every setting can be seen against.
        const string Request = "\"prompt\":\"The\",\"max_tokens\":6,\"temperature\":0,\"logprobs\":0,\"logit_bias\":{\"700\":25}";
        static int Distinct(JsonElement answer) => answer.Choice().Tokens().Distinct().Count();
        var free = Distinct(await _server.CompleteAsync($"{{{Request}}}"));
        Assert.Equal(1, free);
        Assert.True(Distinct(await _server.CompleteAsync($"{{{Request.Replace(":25", ":1.9", StringComparison.Ordinal)},\"presence_penalty\":2}}")) > 1);
        Assert.True(Distinct(await _server.CompleteAsync($"{{{Request},\"repetition_penalty\":100}}")) > 1);
    }

    private static IEnumerable<int> Offsets(JsonElement choice) => choice.GetProperty("logprobs").GetProperty("text_offset").EnumerateArray().Select(offset => offset.GetInt32());
}
