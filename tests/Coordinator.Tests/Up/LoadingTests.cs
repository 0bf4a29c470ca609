using Grok1Cluster.Coordinator.Http;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Up;

public sealed class LoadingTests
{
    [Fact]
    public async Task While_weights_load_requests_get_503_with_a_time_to_retry_and_a_percentage_and_health_metrics_and_dashboard_answer()
    {
        var options = new CoordinatorHostOptions { Session = new ClusterSessionOptions { StorePath = Path.Combine(Repository.Root, "models", "demo") }, Api = new ApiOptions { Port = 0 } };
        await using var host = await CoordinatorHost.StartAsync(options, TextWriter.Null, TimeProvider.System, CancellationToken.None);
        using var client = new HttpClient { BaseAddress = new Uri(host.Url) };
        foreach (var path in (string[])["/v1/models", "/v1/completions", "/cluster/plan", "/no-such-route"])
            using (var response = await client.GetAsync(path))
            {
                Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
                Assert.NotNull(response.Headers.RetryAfter?.Delta);
                var error = (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error");
                Assert.Equal("the model is loading, 0 %; try again", error.GetProperty("message").GetString());
                Assert.Equal("model_loading", error.GetProperty("code").GetString());
            }
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await StatusAsync("/health/ready"));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync("/health/live"));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync("/"));
        Assert.Contains("grok1_ready 0", await client.GetStringAsync("/metrics"));
        Assert.Equal("loading", (await client.GetFromJsonAsync<JsonElement>("/cluster/status")).GetProperty("phase").GetString());

        await host.LoadAsync(CancellationToken.None);
        Assert.Equal(HttpStatusCode.OK, await StatusAsync("/health/ready"));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync("/v1/models"));
        Assert.Equal(HttpStatusCode.NotFound, await StatusAsync("/no-such-route"));
        Assert.Contains("grok1_loaded_ratio 1\n", await client.GetStringAsync("/metrics"));

        async Task<HttpStatusCode> StatusAsync(string path)
        {
            using var response = await client.GetAsync(path);
            return response.StatusCode;
        }
    }

    [Fact]
    public async Task While_workers_are_waited_for_health_says_how_many_are_there()
    {
        using var log = new LineLog("0 of 2 workers are there");
        using var stop = new CancellationTokenSource();
        var session = new ClusterSessionOptions
        {
            StorePath = Path.Combine(Repository.Root, "models", "demo"), OpenMembership = (_, _) => Task.FromResult<IMembership>(new StaticMembership(Array.Empty<string>())), LeastWorkers = 2,
        };
        await using var host = await CoordinatorHost.StartAsync(new CoordinatorHostOptions { Session = session, Api = new ApiOptions { Port = 0 } }, log, TimeProvider.System, CancellationToken.None);
        var loading = host.LoadAsync(stop.Token);
        await log.Written.WaitAsync(Grok1Process.DefaultTimeout);
        using var client = new HttpClient { BaseAddress = new Uri(host.Url) };
        using var response = await client.GetAsync("/health/ready");
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "0 of 2 workers are there; waiting for more\n"), (response.StatusCode, await response.Content.ReadAsStringAsync()));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => loading);
    }

    /// <summary>Tells when a line was written that begins with a text.</summary>
    private sealed class LineLog(string awaited) : StringWriter
    {
        private readonly TaskCompletionSource _written = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Written => _written.Task;

        public override void WriteLine(string? value)
        {
            base.WriteLine(value);
            if (value?.StartsWith(awaited, StringComparison.Ordinal) == true)
                _written.TrySetResult();
        }
    }

    [Fact]
    public async Task A_supervised_worker_tells_how_much_it_has_loaded_and_the_sum_is_all_of_it()
    {
        var progress = new LoadProgress();
        await using var session = await ClusterSession.StartAsync(
            new ClusterSessionOptions { StorePath = Path.Combine(Repository.Root, "models", "demo"), Workers = 2, Program = [Grok1Process.ExecutablePath], Progress = progress },
            _ => { }, CancellationToken.None);
        Assert.Equal(1, progress.Share, 6);
    }
}
