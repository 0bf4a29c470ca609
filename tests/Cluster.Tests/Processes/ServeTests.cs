using System.Net;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Processes;

/// <summary>The coordinator's HTTP API over worker processes.</summary>
public class ServeTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Fact]
    public async Task Completions_whole_and_streamed_are_what_run_gives_and_the_cluster_shows_itself()
    {
        using var serve = Grok1Process.Start("serve", "--model", models.Golden("tiny-b"), "--workers", "2", "--port", "0");
        using var client = await ConnectAsync(serve);
        var run = await Grok1Process.RunAsync("run", "--model", models.Golden("tiny-b"), "--workers", "2", "--tokens", "7,8,9", "--max-tokens", "12", "--temperature", "0", "--json");
        var expected = string.Join(' ', JsonDocument.Parse(run.Output).RootElement.GetProperty("tokens").EnumerateArray());

        var whole = await PostAsync(client, """{"prompt": [7, 8, 9], "max_tokens": 12, "temperature": 0}""");
        Assert.Equal(expected, whole.GetProperty("choices")[0].GetProperty("text").GetString()!.Trim());
        Assert.Equal("length", whole.GetProperty("choices")[0].GetProperty("finish_reason").GetString());
        Assert.Equal(15, whole.GetProperty("usage").GetProperty("total_tokens").GetInt32());

        var together = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => StreamAsync(client, """{"prompt": [7, 8, 9], "max_tokens": 12, "temperature": 0, "stream": true}""")));
        Assert.All(together, text => Assert.Equal(expected, text));

        var workers = await client.GetFromJsonAsync<JsonElement>("/cluster/workers");
        Assert.Equal(["worker-0", "worker-1"], workers.EnumerateArray().Select(worker => worker.GetProperty("id").GetString()));
        Assert.All(workers.EnumerateArray(), worker => Assert.Equal("ready", worker.GetProperty("state").GetString()));
        var plan = await client.GetFromJsonAsync<JsonElement>("/cluster/plan");
        Assert.Equal(2, plan.GetProperty("bundles").EnumerateArray().Count(bundle => bundle.GetProperty("layer").GetInt32() == 0));
        var counts = (await client.GetFromJsonAsync<JsonElement>("/cluster/experts")).GetProperty("counts").EnumerateArray().Select(layer => layer.EnumerateArray().Sum(count => count.GetInt64())).ToArray();
        Assert.Equal([counts[0], counts[0]], counts);
        Assert.True(counts[0] > 0);

        serve.Signal(PosixSignal.SIGTERM);
        Assert.Equal(0, (await serve.WaitForExitAsync()).ExitCode);
    }

    [Theory]
    [InlineData("{", 400, "")]
    [InlineData("null", 400, "JSON object")]
    [InlineData("[]", 400, "")]
    [InlineData("""{"max_tokens": 3}""", 400, "prompt")]
    [InlineData("""{"prompt": 5}""", 400, "the prompt must be a string")]
    [InlineData("""{"prompt": "text"}""", 400, "no tokenizer")]
    [InlineData("""{"prompt": []}""", 400, "no tokens")]
    [InlineData("""{"prompt": [1, "x"]}""", 400, "prompt[1] is not a token id")]
    [InlineData("""{"prompt": [1, 2.5]}""", 400, "prompt[1] is not a token id")]
    [InlineData("""{"prompt": [512]}""", 400, "outside the vocabulary of 512")]
    [InlineData("""{"prompt": [-1]}""", 400, "prompt[0] is -1")]
    [InlineData("""{"prompt": [1], "max_tokens": -1}""", 400, "max_tokens must be")]
    [InlineData("""{"prompt": [1], "temperature": -1}""", 400, "emperature")]
    [InlineData("""{"prompt": [1], "top_p": 2}""", 400, "")]
    [InlineData("""{"prompt": [1], "model": "other"}""", 404, "the model other is not served here")]
    [InlineData("""{"prompt": [1], "logit_bias": []}""", 400, "logit_bias")]
    public async Task A_bad_request_gets_a_status_and_says_what_and_the_server_lives_on(string body, int status, string message)
    {
        var server = await models.ServerAsync();
        using var client = new HttpClient { BaseAddress = server };
        using var response = await client.PostAsync("/v1/completions", new StringContent(body, Encoding.UTF8, "application/json"));
        var error = (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error");
        Assert.Equal(status, (int)response.StatusCode);
        Assert.Contains(message, error.GetProperty("message").GetString());
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/health/ready")).StatusCode);
    }

    [Fact]
    public async Task A_client_that_hangs_up_frees_its_sequence()
    {
        using var client = new HttpClient { BaseAddress = await models.ServerAsync() };
        using var cancel = new CancellationTokenSource();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = new StringContent("""{"prompt": [1], "max_tokens": 500, "ignore_eos": true, "stream": true}""", Encoding.UTF8, "application/json") };
        using (var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel.Token))
        {
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancel.Token));
            Assert.StartsWith("data: ", await reader.ReadLineAsync(cancel.Token));
        }
        // One at a time is all that a request of this length needs: it would not get through if the first were still there.
        Assert.Equal(4, (await PostAsync(client, """{"prompt": [1], "max_tokens": 4, "ignore_eos": true}""")).GetProperty("usage").GetProperty("completion_tokens").GetInt32());
    }

    private static async Task<HttpClient> ConnectAsync(Grok1Process serve)
    {
        var line = await serve.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        return new HttpClient { BaseAddress = new Uri(line[(line.LastIndexOf(' ') + 1)..]) };
    }

    private static async Task<JsonElement> PostAsync(HttpClient client, string body)
    {
        using var response = await client.PostAsync("/v1/completions", new StringContent(body, Encoding.UTF8, "application/json"));
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await response.Content.ReadFromJsonAsync<JsonElement>();
    }

    private static async Task<string> StreamAsync(HttpClient client, string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        var events = new List<string>();
        while (await reader.ReadLineAsync() is { } line)
            if (line.Length > 0)
                events.Add(line["data: ".Length..]);
        Assert.Equal("[DONE]", events[^1]);
        return string.Concat(events.SkipLast(1).Select(json => JsonDocument.Parse(json).RootElement.GetProperty("choices")[0].GetProperty("text").GetString())).Trim();
    }
}
