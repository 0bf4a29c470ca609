using System.CommandLine;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Authentication;
using System.Text.Json;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Dashboard;

namespace Grok1Cluster.Cli.Verbs.Cluster;

/// <summary>How to reach a coordinator that runs.</summary>
internal sealed class CoordinatorFlags
{
    private readonly SettingOption<string?> _url = new("--url", "top:url", TextFormats.HttpUrl("http://127.0.0.1:8080"), "http://127.0.0.1:8080", "the coordinator; with --admin-port, that port");
    private readonly SettingOption<string?> _key = new("--api-key", "top:api_key", TextFormats.Secret, null, "its key, where it asks for one");

    public void AddTo(Command command)
    {
        command.Add(_url);
        command.Add(_key);
    }

    public CoordinatorClient Open(VerbContext context) => new(new Uri(context.Get(_url)!), context.Get(_key));
}

/// <summary>A coordinator's routes below <c>/cluster</c>.</summary>
internal sealed class CoordinatorClient : IDisposable
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private static readonly TimeSpan StatusTime = TimeSpan.FromSeconds(10);

    private readonly HttpClient _client;

    public CoordinatorClient(Uri url, string? key)
    {
        // Where it stands behind a proxy it may have a path before its own.
        _client = new HttpClient { BaseAddress = new Uri(url.GetLeftPart(UriPartial.Path).TrimEnd('/') + "/"), Timeout = Timeout.InfiniteTimeSpan };
        if (key is not null)
            _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
    }

    /// <exception cref="AuthenticationException">It asks for a key.</exception>
    /// <exception cref="HttpRequestException">It cannot be reached, or has no cluster.</exception>
    public async Task<ClusterStatus> StatusAsync(CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(StatusTime);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "cluster/status");
            using var response = await SendAsync(request, limit.Token);
            return await response.Content.ReadFromJsonAsync<ClusterStatus>(Json, limit.Token) ?? throw NotACoordinator();
        }
        catch (JsonException)
        {
            throw NotACoordinator();
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new HttpRequestException($"{_client.BaseAddress} did not answer within {StatusTime.TotalSeconds} s");
        }
    }

    /// <summary>Asks for a change of the cluster and follows it to its end.</summary>
    /// <param name="path">Below <c>/cluster/</c>.</param>
    /// <param name="body">JSON.</param>
    /// <param name="progress">Told of every step.</param>
    /// <exception cref="ClusterChangeException">It was not made; the coordinator says why.</exception>
    /// <exception cref="UsageException">It cannot be meant so.</exception>
    /// <exception cref="PlanException">What was sent is no plan, or none for this model.</exception>
    /// <exception cref="HttpRequestException">It cannot be reached, or is no coordinator.</exception>
    public async Task<ClusterStep> ChangeAsync(string path, string body, Action<ClusterStep> progress, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"cluster/{path}") { Content = new StringContent(body, MediaTypeHeaderValue.Parse("application/json")) };
        using var response = await SendAsync(request, cancellation);
        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync(cancellation));
        ClusterStep? last = null;
        while (await lines.ReadLineAsync(cancellation) is { } line)
        {
            try
            {
                using var document = JsonDocument.Parse(line);
                if (document.RootElement.TryGetProperty("error", out var error))
                    throw new ClusterChangeException(error.GetProperty("message").GetString()!);
                last = document.Deserialize<ClusterStep>(Json)!;
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
            {
                throw NotACoordinator();
            }
            progress(last);
        }
        return last is { Phase: "done" } ? last : throw new ClusterChangeException("the coordinator ended the answer in the middle; look at `grok1 cluster status`");
    }

    public void Dispose() => _client.Dispose();

    /// <summary>The answer, of which the headers are there and say that the request was served.</summary>
    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        HttpResponseMessage response;
        try
        {
            response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        }
        catch (HttpRequestException e)
        {
            throw new HttpRequestException($"no coordinator answers at {_client.BaseAddress} ({e.Message}); start one (grok1 up, grok1 serve), or name it with --url", e);
        }
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
            throw await RefusalAsync(response, cancellation);
    }

    private async Task<Exception> RefusalAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        if (response.StatusCode == HttpStatusCode.Unauthorized)
            return new AuthenticationException($"{_client.BaseAddress} asks for a key; give it with --api-key");
        try
        {
            using var document = JsonDocument.Parse(await response.Content.ReadAsStringAsync(cancellation));
            var error = document.RootElement.GetProperty("error");
            var message = error.GetProperty("message").GetString()!;
            return response.StatusCode switch
            {
                HttpStatusCode.Forbidden => new AuthenticationException(message),
                HttpStatusCode.BadRequest when error.GetProperty("code").GetString() == "invalid_plan" => new PlanException(message),
                HttpStatusCode.BadRequest => new UsageException(message),
                HttpStatusCode.ServiceUnavailable => new ClusterChangeException($"the cluster is not ready: {message}"),
                _ => new ClusterChangeException(message),
            };
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return NotACoordinator();
        }
    }

    private HttpRequestException NotACoordinator() =>
        new($"what answers at {_client.BaseAddress} is no coordinator of grok1; name one with --url");
}

/// <summary>A step of a change, as the coordinator tells it.</summary>
/// <param name="Phase">holding, switching, releasing or done.</param>
internal sealed record ClusterStep(string Operation, string Phase, long DoneBytes, long TotalBytes);
