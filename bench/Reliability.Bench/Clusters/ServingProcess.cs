using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Reliability.Bench.Clusters;

/// <summary>A coordinator process, and what it can be asked.</summary>
internal sealed class ServingProcess : IDisposable
{
    private const int SigKill = 9;

    /// <summary>Between two looks at what tells of no change by itself.</summary>
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);

    private readonly Grok1Process _process;
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromMinutes(10) };

    private ServingProcess(Grok1Process process, Uri url) => (_process, Url) = (process, url);

    public int Id => _process.Id;

    public Uri Url { get; }

    /// <summary>What it wrote to standard error.</summary>
    public string Log => _process.Error;

    /// <summary>Starts <c>grok1 serve</c>; it may not be ready yet.</summary>
    public static async Task<ServingProcess> StartAsync(ProcessStartInfo start)
    {
        var process = Grok1Process.Start(start);
        try
        {
            var line = await process.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
            return new ServingProcess(process, new Uri(line[(line.LastIndexOf(' ') + 1)..]));
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    /// <inheritdoc cref="StartAsync(ProcessStartInfo)"/>
    public static Task<ServingProcess> StartAsync(IEnumerable<string> flags) => StartAsync(new ProcessStartInfo(Grok1Process.ExecutablePath, ["serve", .. flags]));

    /// <summary>As <c>/cluster/workers</c> has them.</summary>
    public async Task<JsonElement[]> WorkersAsync() => (await _http.GetFromJsonAsync<JsonElement[]>(new Uri(Url, "/cluster/workers")))!;

    /// <summary>The sum of a metric over the samples that contain a text.</summary>
    public Task<double> MetricAsync(string name, string label = "") => Metrics.SumAsync(_http, Url, name, label);

    /// <summary>Completes when requests are taken and every tile has a worker.</summary>
    /// <exception cref="TimeoutException">That is not so in time.</exception>
    public Task UntilReadyAsync(TimeSpan limit) => UntilAsync("it is ready", limit, async () =>
    {
        using var response = await _http.GetAsync(new Uri(Url, "/health/ready"));
        return response.IsSuccessStatusCode;
    });

    /// <summary>Completes when every worker that it knows is ready.</summary>
    /// <exception cref="TimeoutException">That is not so in time.</exception>
    public Task UntilWholeAsync(TimeSpan limit) =>
        UntilAsync("every worker is ready", limit, async () => (await WorkersAsync()).All(worker => worker.GetProperty("state").GetString() == "ready"));

    /// <summary>Looks until something is so.</summary>
    /// <exception cref="TimeoutException">It is not so in time; the message has the log.</exception>
    public async Task UntilAsync(string what, TimeSpan limit, Func<Task<bool>> condition)
    {
        for (var start = Stopwatch.GetTimestamp(); !await condition(); await Task.Delay(Look))
            if (Stopwatch.GetElapsedTime(start) > limit)
                throw new TimeoutException($"{limit.TotalSeconds:0} s are not enough until {what}\n{Log}");
    }

    /// <summary>Completes when its log has a line.</summary>
    public Task UntilLineAsync(Func<string, bool> wanted, TimeSpan limit) => _process.WaitForErrorLineAsync(wanted, limit);

    /// <summary>Changes the cluster by <c>POST /cluster/VERB</c>, and waits until that is done.</summary>
    /// <exception cref="InvalidOperationException">It was not done; the message says why.</exception>
    public async Task ChangeAsync(string verb, string body)
    {
        using var response = await _http.PostAsync(new Uri(Url, $"/cluster/{verb}"), new StringContent(body, null, "application/json"));
        var last = (await response.Content.ReadAsStringAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1];
        using var document = JsonDocument.Parse(last);
        if (!document.RootElement.TryGetProperty("phase", out var phase) || phase.GetString() != "done")
            throw new InvalidOperationException($"{verb} was not done: {last}");
    }

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        Signals.Send(Id, SigKill);
        await _process.WaitForExitAsync();
    }

    public void Dispose()
    {
        _process.Dispose();
        _http.Dispose();
    }
}
