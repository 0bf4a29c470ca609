using System.Text;
using Grok1Cluster.Coordinator.Tests.Support;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Tests.Load;

public class DisconnectTests
{
    [Fact]
    public async Task Two_hundred_clients_that_leave_at_random_are_all_freed()
    {
        await using var server = await TestServer.StartAsync(engine: new EngineOptions { MaxRunning = 16, MaxWaiting = 1024 });
        var expected = await Greedy(server);
        var random = new Random(7);
        var leavers = Enumerable.Range(0, 200).Select(i => (Stream: i % 3 != 0, Lines: random.Next(0, 12), N: 1 + random.Next(3))).ToArray();
        await Task.WhenAll(leavers.Select(leaver => LeaveAsync(server, leaver.Stream, leaver.Lines, leaver.N)));
        await server.WaitUntilIdleAsync();
        Assert.Equal(expected, await Greedy(server));
    }

    [Fact]
    public async Task Thirty_two_streams_of_mixed_lengths_are_each_what_it_is_alone()
    {
        await using var server = await TestServer.StartAsync();
        var requests = Enumerable.Range(0, 32).Select(i =>
            $$"""{"prompt":[{{string.Join(',', Enumerable.Range(0, 3 + i * 29 % 200).Select(k => 100 + (i * 31 + k * 17) % 1800))}}],"max_tokens":{{5 + i * 13 % 60}},"temperature":0,"ignore_eos":true}""").ToArray();
        var alone = new List<string>();
        foreach (var request in requests)
            alone.Add((await server.CompleteAsync(request)).Choice().Text());
        var together = await Task.WhenAll(requests.Select(async request => (await server.StreamAsync("/v1/completions", request.Replace("}", ",\"stream\":true}", StringComparison.Ordinal))).StreamedText()));
        Assert.Equal(alone, together);
        await server.WaitUntilIdleAsync();
    }

    private static async Task<string> Greedy(TestServer server) => (await server.CompleteAsync("""{"prompt":"The people","max_tokens":20,"temperature":0}""")).Choice().Text();

    /// <summary>Reads some lines of the answer and hangs up; without a stream it hangs up after sending.</summary>
    private static async Task LeaveAsync(TestServer server, bool stream, int lines, int n)
    {
        using var client = new HttpClient { BaseAddress = new Uri(server.Url) };
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = new StringContent($$"""{"prompt":[5,6,7],"max_tokens":500,"ignore_eos":true,"n":{{n}},"stream":{{(stream ? "true" : "false")}}}""", Encoding.UTF8, "application/json"),
        };
        using var cancel = new CancellationTokenSource();
        if (!stream)
        {
            var answer = client.SendAsync(request, cancel.Token);
            await cancel.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answer);
            return;
        }
        using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        for (var i = 0; i < lines; i++)
            await reader.ReadLineAsync();
    }
}
