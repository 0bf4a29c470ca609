using System.ClientModel;
using System.ClientModel.Primitives;
using System.Diagnostics;
using System.Text.Json;
using Grok1Cluster.Coordinator.Tests.Support;
using Grok1Cluster.TestKit;
using OpenAI;
using OpenAI.Chat;

namespace Grok1Cluster.Coordinator.Tests.Clients;

/// <summary>Other people's clients against a coordinator process with keys.</summary>
public sealed class ClientTests(ServeProcess serve) : IClassFixture<ServeProcess>
{
    [OpenAiNodeFact]
    public async Task The_openai_package_of_npm_completes_chats_lists_streams_aborts_and_maps_errors()
    {
        var start = new ProcessStartInfo("node", [Path.Combine(Repository.Root, "tests", "Coordinator.Tests", "Clients", "openai.js"), await serve.UrlAsync(), ServeProcess.Key])
        {
            Environment = { ["NODE_PATH"] = OpenAiNodeFactAttribute.Package.Modules },
        };
        var result = await Grok1Process.RunAsync(start);
        Assert.True(result.ExitCode == 0 && result.Output == "good\n", result.Error);
    }

    [Fact]
    public async Task The_OpenAI_package_of_NuGet_chats_streams_and_maps_errors()
    {
        var client = await ChatClientAsync(ServeProcess.Key);
        ChatMessage[] messages = [new SystemChatMessage("Be brief."), new UserChatMessage("Hello")];
        var options = new ChatCompletionOptions { MaxOutputTokenCount = 10, Temperature = 0, IncludeLogProbabilities = true, TopLogProbabilityCount = 2 };
        ChatCompletion whole = await client.CompleteChatAsync(messages, options);
        Assert.Equal(ChatFinishReason.Length, whole.FinishReason);
        Assert.Equal(10, whole.Usage.OutputTokenCount);
        Assert.Equal(10, whole.ContentTokenLogProbabilities.Count);

        var text = "";
        await foreach (var update in client.CompleteChatStreamingAsync(messages, options))
            text += string.Concat(update.ContentUpdate.Select(part => part.Text));
        Assert.Equal(whole.Content[0].Text, text);

        var refused = await Assert.ThrowsAsync<ClientResultException>(() => client.CompleteChatAsync(messages, new ChatCompletionOptions { Temperature = 2.5f }));
        Assert.Equal(400, refused.Status);
        Assert.Contains("temperature", refused.Message);
        Assert.Equal(401, (await Assert.ThrowsAsync<ClientResultException>(async () => await (await ChatClientAsync("sk-not-one-of-them")).CompleteChatAsync(messages))).Status);
    }

    [Fact]
    public async Task Curl_gets_an_answer_and_a_stream_as_it_comes()
    {
        var url = await serve.UrlAsync();
        string[] common = ["--silent", "--show-error", "--no-buffer", "-H", "Content-Type: application/json", "-H", $"Authorization: Bearer {ServeProcess.Key}"];
        var whole = await Grok1Process.RunAsync(new ProcessStartInfo("curl", [.. common, $"{url}/v1/completions", "-d", """{"prompt":"The people","max_tokens":5,"temperature":0}"""]));
        Assert.True(whole.ExitCode == 0, whole.Error);
        var text = JsonElement.Parse(whole.Output).Choice().Text();
        var stream = await Grok1Process.RunAsync(new ProcessStartInfo("curl", [.. common, $"{url}/v1/completions", "-d", """{"prompt":"The people","max_tokens":5,"temperature":0,"stream":true}"""]));
        var events = stream.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("data: [DONE]", events[^1]);
        Assert.Equal(text, events.SkipLast(1).Select(line => JsonElement.Parse(line["data: ".Length..])).ToArray().StreamedText());
        var refused = await Grok1Process.RunAsync(new ProcessStartInfo("curl", ["--silent", "--fail", $"{url}/v1/models"]));
        Assert.Equal(22, refused.ExitCode);
    }

    private async Task<ChatClient> ChatClientAsync(string key) => new(
        "demo", new ApiKeyCredential(key), new OpenAIClientOptions { Endpoint = new Uri($"{await serve.UrlAsync()}/v1"), RetryPolicy = new ClientRetryPolicy(0) });
}

/// <summary>A fact that runs npm's openai; skipped, with a line that says so, where node, npm or the package is missing.</summary>
public sealed class OpenAiNodeFactAttribute : FactAttribute
{
    internal static readonly NodePackage Package = new("openai", "7.57.0");

    public OpenAiNodeFactAttribute()
    {
        if (Package.Missing.Value is { } reason)
            Skip = reason;
    }
}
