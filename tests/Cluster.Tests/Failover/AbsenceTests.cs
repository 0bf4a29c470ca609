using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>A serving coordinator whose only holder of some tiles is away for a while.</summary>
[Collection(nameof(Alone))]
public sealed class AbsenceTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Fact]
    public async Task While_a_worker_is_away_the_server_is_not_ready_and_says_why_and_serves_again_when_it_is_back()
    {
        using var first = StartWorker("worker-0", "127.0.0.1:0");
        using var second = StartWorker("worker-1", "127.0.0.1:0");
        string[] addresses = [await AddressAsync(first), await AddressAsync(second)];
        using var serve = Grok1Process.Start("serve", "--model", models.Endless(), "--plan", "whole", "--worker-address", string.Join(',', addresses), "--lost-worker-timeout", "0.3", "--port", "0");
        var line = await serve.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        using var client = new HttpClient { BaseAddress = new Uri(line[(line.LastIndexOf(' ') + 1)..]) };
        var (status, expected) = await CompleteAsync(client);
        Assert.Equal(HttpStatusCode.OK, status);

        using (var stream = await StreamAsync(client))
        {
            Assert.StartsWith("data: ", await stream.ReadLineAsync());
            second.Kill();
            Assert.Matches("^data: .*\"error\".*layer [0-9]+ experts? [0-9].* had no worker for 0.3 s: worker worker-1 at .* is lost", await LastEventAsync(stream));
        }
        await serve.WaitForErrorLineAsync(line => line.StartsWith("worker worker-1 at ") && line.EndsWith(" is lost"));
        using (var ready = await client.GetAsync("/health/ready"))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
            Assert.Matches("tiles are missing: layer", await ready.Content.ReadAsStringAsync());
        }
        Assert.Equal("lost", (await client.GetFromJsonAsync<JsonElement>("/cluster/workers"))[1].GetProperty("state").GetString());
        var (failed, error) = await CompleteAsync(client);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, failed);
        Assert.Matches("^layer .* had no worker for 0.3 s: worker worker-1 at .* is lost", error);

        using var again = StartWorker("worker-1", addresses[1]);
        await serve.WaitForErrorLineAsync(line => line.StartsWith("worker worker-1 at ") && line.EndsWith(" is back"));
        using (var ready = await client.GetAsync("/health/ready"))
            Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
        Assert.Equal((HttpStatusCode.OK, expected), await CompleteAsync(client));
    }

    [Fact]
    public async Task A_stream_whose_bundle_has_no_holder_is_kept_alive_and_goes_on_with_the_same_text_when_the_worker_is_back()
    {
        const int Tokens = 2000, Comments = 5;
        using var first = StartWorker("worker-0", "127.0.0.1:0");
        using var second = StartWorker("worker-1", "127.0.0.1:0");
        string[] addresses = [await AddressAsync(first), await AddressAsync(second)];
        using var serve = Grok1Process.Start("serve", "--model", models.Endless(), "--plan", "whole", "--worker-address", string.Join(',', addresses), "--keep-alive", "0.1", "--port", "0");
        var line = await serve.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        using var client = new HttpClient { BaseAddress = new Uri(line[(line.LastIndexOf(' ') + 1)..]), Timeout = Grok1Process.DefaultTimeout };
        var (_, expected) = await CompleteAsync(client, Tokens);

        using var stream = await StreamAsync(client, Tokens);
        var text = TextOf(await stream.ReadLineAsync());
        second.Kill();
        for (var comments = 0; comments < Comments;)
        {
            var next = await stream.ReadLineAsync();
            Assert.NotEqual("data: [DONE]", next);
            if (next == ": keep-alive")
                comments++;
            text += TextOf(next);
        }
        using (var ready = await client.GetAsync("/health/ready"))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
            Assert.Matches("tiles are missing: layers? [0-9]+.* expert", await ready.Content.ReadAsStringAsync());
        }

        using var again = StartWorker("worker-1", addresses[1]);
        while (await stream.ReadLineAsync() is { } next && next != "data: [DONE]")
            text += TextOf(next);
        Assert.Equal(expected, text);
        using (var ready = await client.GetAsync("/health/ready"))
            Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
    }

    [Fact]
    public async Task The_limit_runs_from_the_loss_so_that_later_requests_do_not_wait_for_it_again()
    {
        const int Later = 30;
        using var first = StartWorker("worker-0", "127.0.0.1:0");
        using var second = StartWorker("worker-1", "127.0.0.1:0");
        string[] addresses = [await AddressAsync(first), await AddressAsync(second)];
        using var serve = Grok1Process.Start("serve", "--model", models.Endless(), "--plan", "whole", "--worker-address", string.Join(',', addresses), "--lost-worker-timeout", "3", "--port", "0");
        var line = await serve.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        using var client = new HttpClient { BaseAddress = new Uri(line[(line.LastIndexOf(' ') + 1)..]) };
        Assert.Equal(HttpStatusCode.OK, (await CompleteAsync(client)).Status);
        second.Kill();
        // All of them waiting the whole limit, one after the other, would take longer than a hung test is given.
        var failing = FailAsync();
        await failing.WaitAsync(Grok1Process.DefaultTimeout);

        async Task FailAsync()
        {
            for (var request = 0; request < Later; request++)
            {
                var (status, error) = await CompleteAsync(client);
                Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
                Assert.Matches("^layer .* had no worker for 3 s: worker worker-1 at .* is lost", error);
            }
        }
    }

    [Fact]
    public async Task A_coordinator_that_stood_still_itself_declares_no_worker_lost()
    {
        const int SigCont = 18, SigStop = 19;
        using var first = StartWorker("worker-0", "127.0.0.1:0");
        using var second = StartWorker("worker-1", "127.0.0.1:0");
        string[] addresses = [await AddressAsync(first), await AddressAsync(second)];
        using var serve = Grok1Process.Start("serve", "--model", models.Endless(), "--plan", "whole", "--worker-address", string.Join(',', addresses), "--port", "0");
        var line = await serve.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        using var client = new HttpClient { BaseAddress = new Uri(line[(line.LastIndexOf(' ') + 1)..]) };
        var (_, expected) = await CompleteAsync(client);
        using (var stream = await StreamAsync(client))
        {
            Assert.StartsWith("data: ", await stream.ReadLineAsync());
            FailoverCluster.Signal(serve.Id, SigStop);
            // More than twice what a silent worker has.
            await Task.Delay(TimeSpan.FromSeconds(2));
            FailoverCluster.Signal(serve.Id, SigCont);
            for (var events = 0; events < 200; events++)
                Assert.DoesNotContain("error", await stream.ReadLineAsync());
        }
        Assert.Equal((HttpStatusCode.OK, expected), await CompleteAsync(client));
        Assert.DoesNotContain("is lost", serve.Error);
    }

    private Grok1Process StartWorker(string id, string listen) =>
        Grok1Process.Start("worker", "--model", models.Endless(), "--id", id, "--listen", listen, "--threads", "1");

    private static async Task<string> AddressAsync(Grok1Process worker)
    {
        var line = await worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
        return line[(line.LastIndexOf(' ') + 1)..];
    }

    private static async Task<StreamReader> StreamAsync(HttpClient client, int tokens = 190_000)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = JsonContent.Create(new { prompt = new[] { 7, 8, 9 }, max_tokens = tokens, temperature = 0, ignore_eos = true, stream = true }) };
        var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        return new StreamReader(await response.Content.ReadAsStreamAsync());
    }

    /// <summary>The text of an event; a comment or the line between two events has none.</summary>
    private static string TextOf(string? line)
    {
        if (line?.StartsWith("data: ", StringComparison.Ordinal) is not true)
            return "";
        var body = JsonDocument.Parse(line["data: ".Length..]).RootElement;
        Assert.True(body.TryGetProperty("choices", out var choices), line);
        return choices[0].GetProperty("text").GetString()!;
    }

    private static async Task<string> LastEventAsync(StreamReader stream)
    {
        var last = "";
        while (await stream.ReadLineAsync() is { } line)
            if (line.StartsWith("data: ") && line != "data: [DONE]")
                last = line;
        return last;
    }

    /// <summary>Status, and the text or the error's message.</summary>
    private static async Task<(HttpStatusCode Status, string Text)> CompleteAsync(HttpClient client, int tokens = 20)
    {
        using var response = await client.PostAsJsonAsync("/v1/completions", new { prompt = new[] { 7, 8, 9 }, max_tokens = tokens, temperature = 0, ignore_eos = true });
        var body = await response.Content.ReadFromJsonAsync<JsonElement>();
        return (response.StatusCode, response.IsSuccessStatusCode ? body.GetProperty("choices")[0].GetProperty("text").GetString()! : body.GetProperty("error").GetProperty("message").GetString()!);
    }
}
