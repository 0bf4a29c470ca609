using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Grok1Cluster.Coordinator.Http;
using Grok1Cluster.Coordinator.Http.Auth;
using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Tests.Support;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Access;

public class AccessTests
{
    private const string FirstKey = "sk-first-0123456789", SecondKey = "sk-second-0123456789";
    private const string Request = """{"prompt":[5],"max_tokens":1}""";

    private static readonly ApiKeys Keys = ApiKeys.Parse(["# people", "", $"alice {FirstKey}", SecondKey], "keys");

    [Theory]
    [InlineData("Bearer " + FirstKey, 200)]
    [InlineData("bearer " + SecondKey, 200)]
    [InlineData("Bearer " + FirstKey + "0", 401)]
    [InlineData("Bearer ", 401)]
    [InlineData("Basic " + FirstKey, 401)]
    [InlineData(null, 401)]
    public async Task With_keys_everything_but_health_needs_one(string? header, int status)
    {
        await using var server = await TestServer.StartAsync(new ApiOptions { Keys = Keys });
        if (header is not null)
            server.Client.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", header);
        using var response = await server.SendAsync("/v1/completions", Request);
        Assert.Equal(status, (int)response.StatusCode);
        foreach (var path in new[] { "/v1/models", "/openapi.json", "/tokenizer_info", "/cluster/workers" })
            Assert.Equal(status, (int)(await server.Client.GetAsync(path)).StatusCode);
        Assert.Equal(status == 200 ? 404 : 401, (int)(await server.Client.GetAsync("/nothing")).StatusCode);
        Assert.Equal(200, (int)(await server.Client.GetAsync("/health/live")).StatusCode);
        if (status == 200)
            return;
        Assert.Equal("Bearer", response.Headers.WwwAuthenticate.ToString());
        var error = JsonElement.Parse(await response.Content.ReadAsStringAsync()).GetProperty("error");
        Assert.Equal("invalid_api_key", error.GetProperty("code").GetString());
    }

    [Fact]
    public async Task A_probe_may_ask_for_the_status_of_health_alone()
    {
        await using var server = await TestServer.StartAsync();
        foreach (var path in new[] { "/health/live", "/health/ready" })
        {
            using var response = await server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, path));
            Assert.Equal((HttpStatusCode.OK, ""), (response.StatusCode, await response.Content.ReadAsStringAsync()));
        }
    }

    [Fact]
    public async Task Without_keys_only_a_loopback_name_is_answered()
    {
        await using var server = await TestServer.StartAsync();
        foreach (var (host, status) in new[] { ("localhost:9000", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("attacker.example", 403), ("10.0.0.1", 403) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models") { Headers = { Host = host } };
            Assert.Equal(status, (int)(await server.Client.SendAsync(request)).StatusCode);
        }
    }

    [Fact]
    public async Task Another_origin_gets_no_leave_from_cors()
    {
        await using var server = await TestServer.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Options, "/v1/completions") { Headers = { { "Origin", "http://attacker.example" }, { "Access-Control-Request-Method", "POST" } } };
        using var response = await server.Client.SendAsync(request);
        Assert.DoesNotContain(response.Headers, header => header.Key.StartsWith("Access-Control", StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task With_an_admin_port_the_cluster_is_only_there_and_so_is_the_API_for_the_dashboard()
    {
        await using var server = await TestServer.StartAsync(new ApiOptions { AdminPort = 0 });
        using var admin = new HttpClient { BaseAddress = new Uri(server.AdminUrl) };
        Assert.Equal(HttpStatusCode.OK, (await admin.GetAsync("/cluster/workers")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Client.GetAsync("/cluster/workers")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/v1/models")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await admin.GetAsync("/v1/models")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await admin.GetAsync("/health/live")).StatusCode);
    }

    [Fact]
    public async Task Too_many_requests_a_minute_get_429_with_Retry_After_each_key_for_itself()
    {
        await using var server = await TestServer.StartAsync(new ApiOptions { Keys = Keys, Limits = new ApiLimits { RequestsPerMinute = 2 } });
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", FirstKey);
        Assert.Equal(200, (int)(await server.SendAsync("/v1/completions", Request)).StatusCode);
        Assert.Equal(200, (int)(await server.SendAsync("/v1/completions", Request)).StatusCode);
        using var refused = await server.SendAsync("/v1/completions", Request);
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        Assert.Equal("rate_limit_exceeded", JsonElement.Parse(await refused.Content.ReadAsStringAsync()).GetProperty("error").GetProperty("code").GetString());
        server.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", SecondKey);
        Assert.Equal(200, (int)(await server.SendAsync("/v1/completions", Request)).StatusCode);
    }

    [Fact]
    public async Task A_full_queue_gets_503_with_Retry_After_and_takes_nothing_of_the_request()
    {
        await using var server = await TestServer.StartAsync(engine: new EngineOptions { MaxWaiting = 4 });
        using var refused = await server.SendAsync("/v1/completions", """{"prompt":[[5],[6],[7]],"n":2,"max_tokens":2}""");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.True(refused.Headers.RetryAfter!.Delta >= TimeSpan.FromSeconds(1));
        Assert.Equal(0, server.Engine.Statistics.GeneratedTokens);
        Assert.Equal(4, (await server.CompleteAsync("""{"prompt":[[5],[6]],"n":2,"max_tokens":1}""")).GetProperty("choices").GetArrayLength());
    }

    [Theory]
    [InlineData("trace-42.a_b", true)]
    [InlineData("two words", false)]
    [InlineData("line\tbreak", false)]
    public async Task A_request_id_comes_back_if_it_is_sound_and_else_a_new_one(string given, bool sound)
    {
        await using var server = await TestServer.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        request.Headers.TryAddWithoutValidation("X-Request-Id", given);
        using var response = await server.Client.SendAsync(request);
        var id = Assert.Single(response.Headers.GetValues("X-Request-Id"));
        Assert.Equal(sound, id == given);
        Assert.NotEmpty(id);
    }

    [Theory]
    [InlineData("--api-keys: ", "--api-keys", "no-such-file")]
    [InlineData("without API keys the server listens on loopback only", "--host", "0.0.0.0")]
    [InlineData("--chat-template: ", "--chat-template", "no-such-file")]
    public async Task Serve_refuses_to_start_with_settings_that_cannot_hold(string message, params string[] flags)
    {
        var result = await Grok1Process.RunAsync(["serve", "--model", TestServer.DemoModel, "--port", "0", .. flags]);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(message, result.Error);
    }

    [Theory]
    [InlineData("short", "at least 16")]
    [InlineData("a b sk-0123456789abcdef", "3 words")]
    [InlineData("# only a comment", "has no key")]
    [InlineData("bob sk-0123456789abcdef\nbob sk-0123456789abcdeg", "two keys named bob")]
    public void A_keys_file_that_is_wrong_is_refused_without_telling_a_key(string text, string message)
    {
        var error = Assert.Throws<FormatException>(() => ApiKeys.Parse(text.Split('\n'), "keys.txt"));
        Assert.Contains(message, error.Message);
        Assert.DoesNotContain("0123456789", error.Message);
    }
}
