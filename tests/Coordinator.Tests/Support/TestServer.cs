using System.Text;
using System.Text.Json;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Coordinator.Http;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Support;

/// <summary>The HTTP API over the demo model, in this process: a real Kestrel, a real engine, no workers.</summary>
public sealed class TestServer : IAsyncDisposable
{
    private readonly CoordinatorHost _host;

    private TestServer(CoordinatorHost host)
    {
        _host = host;
        Client = new HttpClient { BaseAddress = new Uri(host.Url) };
    }

    public InferenceEngine Engine => _host.Engine;

    public HttpClient Client { get; }

    public string Url => _host.Url;

    public string AdminUrl => _host.AdminUrl!;

    /// <summary>Starts a server of its own.</summary>
    public static async Task<TestServer> StartAsync(ApiOptions? options = null, EngineOptions? engine = null, Precision precision = Precision.Fast, long? kvMemory = null, string? model = null)
    {
        var host = await CoordinatorHost.StartAsync(new CoordinatorHostOptions
        {
            Session = new ClusterSessionOptions { StorePath = model ?? DemoModel, Precision = precision, KvMemory = kvMemory ?? 64 << 20, Program = ["unused"] },
            Engine = engine ?? new EngineOptions(),
            Api = (options ?? new ApiOptions()) with { Port = 0 },
        }, TextWriter.Null, TimeProvider.System, CancellationToken.None);
        await host.LoadAsync(CancellationToken.None);
        return new TestServer(host);
    }

    /// <summary>The model that is shipped with the project.</summary>
    public static string DemoModel { get; } = Path.Combine(Repository.Root, "models", "demo");

    /// <summary>Posts JSON and gives the answer, which must be 200.</summary>
    public async Task<JsonElement> PostAsync(string path, string body)
    {
        using var response = await SendAsync(path, body);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{(int)response.StatusCode}: {text}");
        return JsonElement.Parse(text);
    }

    public Task<JsonElement> CompleteAsync(string body) => PostAsync("/v1/completions", body);

    public Task<HttpResponseMessage> SendAsync(string path, string body) => Client.PostAsync(path, new StringContent(body, Encoding.UTF8, "application/json"));

    /// <summary>The events of a stream as they come, without the last, which must be [DONE].</summary>
    /// <param name="came">Told of the number of events so far.</param>
    public async Task<IReadOnlyList<JsonElement>> StreamAsync(string path, string body, Action<int>? came = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        using var response = await Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        var events = new List<string>();
        while (await reader.ReadLineAsync() is { } line)
            if (line.StartsWith("data: ", StringComparison.Ordinal))
            {
                events.Add(line["data: ".Length..]);
                came?.Invoke(events.Count);
            }
            else
                Assert.True(line.Length == 0 || line[0] == ':', line);
        Assert.Equal("[DONE]", events[^1]);
        return [.. events.SkipLast(1).Select(text => JsonElement.Parse(text))];
    }

    /// <summary>Waits until no sequence runs or waits and every KV block is free.</summary>
    public async Task WaitUntilIdleAsync()
    {
        using var limit = new CancellationTokenSource(Grok1Process.DefaultTimeout);
        while (Engine.Statistics is not { Running: 0, Waiting: 0, KvBlocksUsed: 0 })
        {
            Assert.False(limit.IsCancellationRequested, $"not idle: {Engine.Statistics}");
            // A request of its own passes through the engine, after which what was cancelled before it is gone.
            await CompleteAsync("""{"prompt":[5],"max_tokens":1}""");
        }
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _host.DisposeAsync();
    }
}

/// <summary>One server for the tests of a class.</summary>
public sealed class SharedServer : IAsyncLifetime
{
    public TestServer Server { get; private set; } = null!;

    public async Task InitializeAsync() => Server = await TestServer.StartAsync();

    public async Task DisposeAsync() => await Server.DisposeAsync();
}
