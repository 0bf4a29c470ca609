using System.CommandLine;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Coordinator.Dashboard;
using Spectre.Console;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>A running cluster in the terminal, looked at once a second; once only where no terminal is there to redraw.</summary>
internal static class TopVerb
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public static Command Create()
    {
        var url = new SettingOption<string?>("--url", "top:url", TextFormats.HttpUrl, "http://127.0.0.1:8080", "the coordinator");
        var key = new SettingOption<string?>("--api-key", "top:api_key", TextFormats.Secret, null, "its key, where it asks for one");
        var once = new Option<bool>("--once") { Description = "print once and end" };
        var verb = new Verb("top", "Watch a running cluster: workers, throughput, latency, queue.",
            "grok1 top",
            "grok1 top --url http://10.0.0.1:8080 --once") { url, key, once };
        verb.AddJson();
        verb.Runs(async (context, cancellation) =>
        {
            using var client = new HttpClient { BaseAddress = new Uri(context.Get(url)!), Timeout = TimeSpan.FromSeconds(10) };
            if (context.Get(key) is { } secret)
                client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", secret);
            var status = await AskAsync(client, cancellation);
            if (context.Output.Json)
                context.Output.WriteJson(status);
            else if (context.Get(once) || Console.IsOutputRedirected)
                context.Output.Write(StatusTable.Of(status, Console.IsOutputRedirected ? int.MaxValue : AnsiConsole.Profile.Width));
            else
                await WatchAsync(client, status, cancellation);
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static Task WatchAsync(HttpClient client, ClusterStatus status, CancellationToken cancellation) => AnsiConsole.Live(StatusTable.Of(status, AnsiConsole.Profile.Width)).StartAsync(async live =>
    {
        try
        {
            using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1));
            while (await timer.WaitForNextTickAsync(cancellation))
                live.UpdateTarget(StatusTable.Of(await AskAsync(client, cancellation), AnsiConsole.Profile.Width));
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Ctrl-C is how it ends.
        }
    });

    private static async Task<ClusterStatus> AskAsync(HttpClient client, CancellationToken cancellation)
    {
        using var response = await client.GetAsync("/cluster/status", cancellation);
        if (response.StatusCode is System.Net.HttpStatusCode.Unauthorized or System.Net.HttpStatusCode.Forbidden)
            throw new System.Security.Authentication.AuthenticationException($"{client.BaseAddress} asks for a key; give it with --api-key");
        response.EnsureSuccessStatusCode();
        return await response.Content.ReadFromJsonAsync<ClusterStatus>(Json, cancellation) ?? throw new JsonException("the coordinator sent null");
    }
}
