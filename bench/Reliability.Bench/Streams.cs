using System.Diagnostics;
using Grok1Cluster.Client;

namespace Grok1Cluster.Reliability.Bench;

/// <summary>What became of one request.</summary>
/// <param name="Kind">Which request.</param>
/// <param name="Text">What came of it.</param>
/// <param name="Arrivals">When it was sent, and when each token came, by the monotonic clock.</param>
/// <param name="Error">The server's explicit error; null: there was none.</param>
/// <param name="IsCut">Whether the stream ended without its end and without an error of the server.</param>
public sealed record StreamResult(int Kind, string Text, IReadOnlyList<long> Arrivals, string? Error, bool IsCut)
{
    /// <summary>What the client's HTTP library says of a connection that broke or could not be made; null where a cut stream looks as if it had ended.</summary>
    public string? Broken { get; init; }

    /// <summary>Seconds between two tokens, and before the first.</summary>
    public IEnumerable<double> Gaps => Arrivals.Zip(Arrivals.Skip(1), (before, after) => Stopwatch.GetElapsedTime(before, after).TotalSeconds);
}

/// <summary>Clients that stream completions one after the other, greedily: a request has one right text.</summary>
public sealed class Streams(Uri url, int tokens) : IDisposable
{
    /// <summary>A client that was refused does not come back at once.</summary>
    private static readonly TimeSpan AfterError = TimeSpan.FromMilliseconds(100);

    private readonly CompletionClient _client = new(url);
    private int _parts;

    /// <summary>Tokens that came in all.</summary>
    public int Parts => Volatile.Read(ref _parts);

    /// <summary>One request from beginning to end.</summary>
    /// <param name="kind">Which: another kind has another prompt.</param>
    public async Task<StreamResult> RequestAsync(int kind)
    {
        var request = new CompletionRequest { Prompt = new[] { 7 + kind, 8, 9 + kind % 5, 10 }, MaxTokens = tokens, Temperature = 0, IgnoreEos = true };
        var (text, arrivals) = ("", new List<long> { Stopwatch.GetTimestamp() });
        try
        {
            await foreach (var part in _client.StreamAsync(request, CancellationToken.None))
                if (part.Choices.Count > 0)
                {
                    arrivals.Add(Stopwatch.GetTimestamp());
                    text += part.Choices[0].Text;
                    Interlocked.Increment(ref _parts);
                }
            return new StreamResult(kind, text, arrivals, null, IsCut: false);
        }
        catch (CompletionException e) when (e.Message.StartsWith("the stream ended before", StringComparison.Ordinal))
        {
            return new StreamResult(kind, text, arrivals, null, IsCut: true);
        }
        catch (CompletionException e)
        {
            // An error is an answer too: what came before it is a gap like any other.
            arrivals.Add(Stopwatch.GetTimestamp());
            return new StreamResult(kind, text, arrivals, e.Message, IsCut: false);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return new StreamResult(kind, text, arrivals, null, IsCut: true) { Broken = e.Message };
        }
    }

    /// <summary>A request of each client that nobody looks at: code is compiled, connections are made, lines are fitted.</summary>
    /// <param name="clients">How many.</param>
    /// <param name="kinds">Requests that there are.</param>
    public Task WarmAsync(int clients, int kinds)
    {
        var warm = 0;
        return RunAsync(clients, kinds, () => Interlocked.Increment(ref warm) <= clients);
    }

    /// <summary>Several clients at a time, each with one request after the other.</summary>
    /// <param name="clients">How many; client c asks for kinds c, c + clients and so on in turn.</param>
    /// <param name="kinds">Requests that there are.</param>
    /// <param name="goOn">Asked before each request.</param>
    public async Task<IReadOnlyList<StreamResult>> RunAsync(int clients, int kinds, Func<bool> goOn)
    {
        var results = await Task.WhenAll(Enumerable.Range(0, clients).Select(client => Task.Run(async () =>
        {
            var mine = new List<StreamResult>();
            for (var kind = client; goOn(); kind = (kind + clients) % kinds)
            {
                mine.Add(await RequestAsync(kind));
                if (mine[^1] is { Error: not null } or { Broken: not null })
                    await Task.Delay(AfterError);
            }
            return mine;
        })));
        return [.. results.SelectMany(mine => mine)];
    }

    public void Dispose() => _client.Dispose();
}
