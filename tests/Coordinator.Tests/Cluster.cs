using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests;

/// <summary>A serving process of the demo model, or of another, and a client of it.</summary>
internal sealed class Cluster : IDisposable
{
    private Cluster(Grok1Process process, Uri address) => (Process, Client) = (process, new HttpClient { BaseAddress = address, Timeout = Grok1Process.DefaultTimeout });

    public Grok1Process Process { get; }

    public HttpClient Client { get; }

    /// <summary>Starts <c>grok1 VERB --port 0</c> and waits until it takes requests.</summary>
    public static async Task<Cluster> StartAsync(params string[] arguments)
    {
        var process = Grok1Process.Start([.. arguments, "--port", "0"]);
        try
        {
            return new Cluster(process, await AddressAsync(process));
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    public async Task<JsonElement> CompleteAsync(object body)
    {
        using var response = await Client.PostAsJsonAsync("/v1/completions", body);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await response.Content.ReadFromJsonAsync<JsonElement>();
    }

    /// <summary>The first status that is as wanted, from the dashboard's stream.</summary>
    public async Task<JsonElement> WaitForStatusAsync(Func<JsonElement, bool> wanted)
    {
        using var limit = new CancellationTokenSource(Grok1Process.DefaultTimeout);
        using var reader = new StreamReader(await Client.GetStreamAsync("/dashboard/events", limit.Token));
        var isStatus = false;
        while (await reader.ReadLineAsync(limit.Token) is { } line)
            if (line.StartsWith("event: "))
                isStatus = line == "event: status";
            else if (isStatus && line.StartsWith("data: ") && JsonDocument.Parse(line["data: ".Length..]).RootElement is var status && wanted(status))
                return status;
        throw new EndOfStreamException("the stream of events ended");
    }

    public void Dispose()
    {
        Client.Dispose();
        Process.Dispose();
    }

    private static async Task<Uri> AddressAsync(Grok1Process process)
    {
        var line = await process.WaitForErrorLineAsync(line => line.StartsWith("serving ") || line.Contains("\"event\":\"serving\""));
        var start = line.IndexOf("http://", StringComparison.Ordinal);
        return new Uri(line[start..].Split('"', ' ')[0]);
    }
}
