using System.Net;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Client.Tests;

/// <summary>The client against a coordinator process.</summary>
public sealed class CompletionClientTests(CoordinatorProcess coordinator) : IClassFixture<CoordinatorProcess>
{
    [Fact]
    public async Task A_stream_adds_up_to_the_whole_completion()
    {
        using var client = await coordinator.ConnectAsync();
        var request = new CompletionRequest { Prompt = "The people", MaxTokens = 12, Seed = 4, N = 2, Logprobs = 1, ReturnRoutedExperts = true };
        var whole = await client.CompleteAsync(request, CancellationToken.None);
        Assert.Equal(2, whole.Choices.Count);
        Assert.Equal(24, whole.Usage.CompletionTokens);
        var parts = new List<CompletionPart>();
        await foreach (var part in client.StreamAsync(request, CancellationToken.None))
            parts.Add(part);
        Assert.Equal(whole.Usage, parts[^1].Usage);
        foreach (var choice in whole.Choices)
        {
            var added = parts.SelectMany(part => part.Choices).Where(part => part.Index == choice.Index).ToArray();
            Assert.Equal(choice.Text, string.Concat(added.Select(part => part.Text)));
            Assert.Equal(choice.FinishReason, added[^1].FinishReason);
            Assert.Equal(choice.Logprobs!.TokenLogprobs, added.SelectMany(part => part.Logprobs?.TokenLogprobs ?? []));
            Assert.Equal(choice.RoutedExperts!.Count, added.Sum(part => part.RoutedExperts?.Count ?? 0));
        }
    }

    [Fact]
    public async Task A_prompt_can_be_scored()
    {
        using var client = await coordinator.ConnectAsync();
        int[] tokens = [.. await client.TokenizeAsync("The people of the United States", CancellationToken.None)];
        Assert.Equal("The people of the United States", await client.DetokenizeAsync(tokens, CancellationToken.None));
        var scored = await client.CompleteAsync(new CompletionRequest { Prompt = Prompt.Tokens([tokens, tokens]), MaxTokens = 0, Echo = true, Logprobs = 0 }, CancellationToken.None);
        Assert.Equal(2, scored.Choices.Count);
        Assert.Null(scored.Choices[0].Logprobs!.TokenLogprobs[0]);
        Assert.All(scored.Choices[0].Logprobs!.TokenLogprobs.Skip(1), logprob => Assert.True(logprob < 0));
        Assert.Equal(scored.Choices[0].Logprobs!.TokenLogprobs, scored.Choices[1].Logprobs!.TokenLogprobs);
    }

    [Fact]
    public async Task The_model_is_listed()
    {
        using var client = await coordinator.ConnectAsync();
        Assert.Equal([new ServedModel("demo", 512)], await client.ListModelsAsync(CancellationToken.None));
    }

    [Fact]
    public async Task A_refusal_says_what_and_which()
    {
        using var client = await coordinator.ConnectAsync();
        var error = await Assert.ThrowsAsync<CompletionException>(() => client.CompleteAsync(new CompletionRequest { Prompt = "x", MaxTokens = 9999 }, CancellationToken.None));
        Assert.Equal((HttpStatusCode.BadRequest, "max_tokens"), (error.Status, error.Param));
        Assert.NotNull(error.RequestId);
        Assert.Contains("max_tokens", error.Message);
    }

    [Fact]
    public async Task Leaving_a_stream_early_and_cancelling_leave_the_server_well()
    {
        using var client = await coordinator.ConnectAsync();
        var request = new CompletionRequest { Prompt = new[] { 5 }, MaxTokens = 500, IgnoreEos = true };
        await foreach (var part in client.StreamAsync(request, CancellationToken.None))
            break;
        using var cancel = new CancellationTokenSource();
        var seen = 0;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var part in client.StreamAsync(request, cancel.Token))
                if (++seen == 3)
                    await cancel.CancelAsync();
        });
        Assert.Equal(4, (await client.CompleteAsync(request with { MaxTokens = 4 }, CancellationToken.None)).Usage.CompletionTokens);
    }
}

/// <summary>A process of <c>grok1 serve</c>, for the tests of a class.</summary>
public sealed class CoordinatorProcess : IDisposable
{
    private readonly Grok1Process _process = Grok1Process.Start("serve", "--model", Path.Combine(Repository.Root, "models", "demo"), "--port", "0");

    public async Task<CompletionClient> ConnectAsync()
    {
        var line = await _process.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        return new CompletionClient(new Uri(line[(line.LastIndexOf(' ') + 1)..]));
    }

    public void Dispose() => _process.Dispose();
}
