using System.Text.Json;
using Grok1Cluster.Coordinator.Tests.Support;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Completions;

public class LogprobsTests
{
    /// <summary>Public words, enough for several windows.</summary>
    private const string Passage = """
        Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in Liberty, and dedicated to the
        proposition that all men are created equal. Now we are engaged in a great civil war, testing whether that nation, or any nation so
        conceived and so dedicated, can long endure. We are met on a great battle-field of that war. We have come to dedicate a portion of that
        field, as a final resting place for those who here gave their lives that that nation might live. It is altogether fitting and proper
        that we should do this. But, in a larger sense, we can not dedicate -- we can not consecrate -- we can not hallow -- this ground.
        """;

    /// <summary>The requests of lm-evaluation-harness' local-completions: batches of token ids, echo, logprobs 1, max_tokens 1, temperature 0.</summary>
    [Theory]
    [InlineData(Precision.Exact, 1e-4)]
    [InlineData(Precision.Fast, 2e-3)]
    public async Task The_sequence_of_lm_evaluation_harness_gives_the_log_likelihood_of_eval(Precision precision, double tolerance)
    {
        const int Window = 48;
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, Passage);
        var eval = await Grok1Process.RunAsync("eval", "--file", file, "--context", $"{Window}", "--precision", precision.ToString().ToLowerInvariant(), "--json");
        File.Delete(file);
        Assert.True(eval.ExitCode == 0, eval.Error);
        var reference = JsonElement.Parse(eval.Output);
        var scored = reference.GetProperty("scored").GetInt32();

        await using var server = await TestServer.StartAsync(precision: precision);
        var tokenized = await server.PostAsync("/tokenize", $$"""{"prompt":{{JsonSerializer.Serialize(Passage)}}}""");
        var windows = tokenized.GetProperty("tokens").EnumerateArray().Select(id => id.GetInt32()).Chunk(Window).ToArray();
        var (total, count) = (0.0, 0);
        foreach (var batch in windows.Chunk(3))
        {
            var answer = await server.CompleteAsync($$"""
                {"model":"demo","prompt":{{JsonSerializer.Serialize(batch)}},"temperature":0,"max_tokens":1,"logprobs":1,"seed":1234,"echo":true}
                """);
            foreach (var choice in answer.GetProperty("choices").EnumerateArray())
            {
                var logprobs = choice.Logprobs();
                Assert.Null(logprobs[0]);
                Assert.Equal(batch[choice.GetProperty("index").GetInt32()].Length + 1, logprobs.Length);
                total -= logprobs[1..^1].Sum()!.Value;
                count += logprobs.Length - 2;
                AssertGreedyTokensAreTheLikeliest(choice);
            }
        }
        Assert.Equal(scored, count);
        Assert.Equal(reference.GetProperty("nll_per_token").GetDouble() * scored, total, tolerance);
    }

    [Fact]
    public async Task What_a_token_had_when_it_was_generated_it_has_when_it_is_scored_whatever_chose_it()
    {
        await using var server = await TestServer.StartAsync();
        int[] prompt = [481, 1995, 660, 1058, 700, 701];
        var sampling = new SamplingOptions { Temperature = 1.7f, TopK = 50, Seed = 4, RepetitionPenalty = 1.3f, PresencePenalty = 1, LogitBias = new Dictionary<int, float> { [800] = 4 } };
        var handle = server.Engine.Submit(new GenerationRequest { Prompt = prompt, MaxTokens = 40, IgnoreEos = true, Sampling = sampling, Logprobs = 5 }, CancellationToken.None);
        var generated = new List<GeneratedToken>();
        await foreach (var token in handle.Tokens.ReadAllAsync())
            generated.Add(token);

        var ids = JsonSerializer.Serialize(prompt.Concat(generated.Select(token => token.Id)));
        var scored = (await server.CompleteAsync($$"""{"prompt":{{ids}},"max_tokens":0,"echo":true,"logprobs":5}""")).Choice();
        Assert.Equal("length", scored.Reason());
        Assert.Equal(generated.Select(token => (double?)token.Logprobs!.Logprob), scored.Logprobs()[prompt.Length..].Select(value => (double?)(float)value!.Value));
        Assert.Contains(generated, token => token.Logprobs!.Top[0].Token != token.Id);
        foreach (var token in generated)
            Assert.Equal(token.Logprobs!.Top.OrderByDescending(top => top.Logprob), token.Logprobs.Top);
    }

    [Fact]
    public async Task Offsets_point_to_the_tokens_in_the_text_in_characters()
    {
        await using var server = await TestServer.StartAsync();
        var choice = (await server.CompleteAsync("""{"prompt":"Zoë 😀 went home","max_tokens":5,"temperature":0,"echo":true,"logprobs":0}""")).Choice();
        Assert.StartsWith("Zoë 😀 went home", choice.Text());
        var runes = choice.Text().EnumerateRunes().ToArray();
        var tokens = choice.Tokens();
        var offsets = choice.GetProperty("logprobs").GetProperty("text_offset").EnumerateArray().Select(offset => offset.GetInt32()).ToArray();
        for (var i = 1; i < tokens.Length; i++)
            if (!tokens[i].StartsWith("bytes:", StringComparison.Ordinal))
                Assert.Equal(tokens[i], string.Concat(runes.Skip(offsets[i]).Take(tokens[i].EnumerateRunes().Count())));
        Assert.Contains(tokens, token => token.StartsWith("bytes:\\x", StringComparison.Ordinal));
        // With 0 the map has the token itself.
        Assert.All(choice.GetProperty("logprobs").GetProperty("top_logprobs").EnumerateArray().Skip(1), map => Assert.Single(map.EnumerateObject()));
    }

    /// <summary>What lm-evaluation-harness does to find out whether a continuation is the greedy one.</summary>
    private static void AssertGreedyTokensAreTheLikeliest(JsonElement choice)
    {
        var tops = choice.GetProperty("logprobs").GetProperty("top_logprobs").EnumerateArray().ToArray();
        var last = tops[^1].EnumerateObject().MaxBy(top => top.Value.GetDouble());
        Assert.Equal(choice.Tokens()[^1], last.Name);
        for (var i = 1; i < tops.Length; i++)
            Assert.True(tops[i].TryGetProperty(choice.Tokens()[i], out _), "the map has no entry for the token itself");
    }
}
