using System.Diagnostics;
using System.Globalization;
using Grok1Cluster.Client;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Soak.Bench;

/// <summary>
/// Streams over HTTP against a server process: mixed lengths, some left in the middle. Each that ends has the text it gets
/// alone; afterwards the server's own metrics say that nothing runs, waits or holds KV memory.
/// </summary>
internal sealed class HttpSoak(string model, int workers, int streams)
{
    private const int Kinds = 24;
    private const double LeavingShare = 0.25;
    private readonly string[] _alone = new string[Kinds];
    private int _finished, _left;

    /// <returns>The exit code: 0 when every text was right and nothing was left.</returns>
    public async Task<int> RunAsync(TimeSpan time)
    {
        using var server = Grok1Process.Start("serve", "--model", model, "--workers", $"{workers}", "--port", "0");
        var line = await server.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        var url = new Uri(line[(line.LastIndexOf(' ') + 1)..]);
        using var client = new CompletionClient(url);
        for (var kind = 0; kind < Kinds; kind++)
            _alone[kind] = await ReadAsync(client, kind, int.MaxValue, CancellationToken.None);

        var start = Stopwatch.GetTimestamp();
        var running = Task.WhenAll(Enumerable.Range(0, streams).Select(number => Task.Run(async () =>
        {
            var random = new Random(number);
            while (Stopwatch.GetElapsedTime(start) < time)
                await StreamAsync(client, random);
        })));
        Console.WriteLine("seconds  finished  left early  resident MiB (coordinator)");
        double early = 0, late = 0;
        while (await Task.WhenAny(running, Task.Delay(time / 12)) != running)
        {
            var (elapsed, resident) = (Stopwatch.GetElapsedTime(start), await MetricAsync(url, "process_resident_memory_bytes") / 1048576);
            // The first third warms up.
            if (elapsed > time / 3 && early == 0)
                early = resident;
            late = resident;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{elapsed.TotalSeconds,7:0}  {_finished,8}  {_left,10}  {resident,12:0}"));
        }
        await running;
        // A client that left is noticed by the step under way: ask until it is over, and give up after a while.
        var end = Stopwatch.GetTimestamp();
        double open, waiting, used;
        do
            (open, waiting, used) = (await MetricAsync(url, "grok1_requests_running"), await MetricAsync(url, "grok1_requests_waiting"), await MetricAsync(url, "grok1_kv_cache_usage_ratio"));
        while (open + waiting + used > 0 && Stopwatch.GetElapsedTime(end) < TimeSpan.FromSeconds(10));
        var flat = late <= early * 1.05 + 16;
        Console.WriteLine($"every text was right; left: {open} running, {waiting} waiting, {used:P0} of the KV memory; coordinator {early:0} MiB early, {late:0} MiB late: {(flat ? "flat" : "GROWS")}");
        return open + waiting + used == 0 && flat ? 0 : 1;
    }

    private async Task StreamAsync(CompletionClient client, Random random)
    {
        var kind = random.Next(Kinds);
        if (random.NextDouble() < LeavingShare)
        {
            using var leave = new CancellationTokenSource();
            await ReadAsync(client, kind, random.Next(1, 8), leave.Token, leave);
            Interlocked.Increment(ref _left);
            return;
        }
        var text = await ReadAsync(client, kind, int.MaxValue, CancellationToken.None);
        if (text != _alone[kind])
            throw new InvalidDataException($"request {kind} got '{text}', alone it gets '{_alone[kind]}'");
        Interlocked.Increment(ref _finished);
    }

    private static async Task<string> ReadAsync(CompletionClient client, int kind, int parts, CancellationToken cancel, CancellationTokenSource? leave = null)
    {
        var text = "";
        try
        {
            await foreach (var part in client.StreamAsync(Request(kind), cancel))
            {
                text += part.Choices.Count > 0 ? part.Choices[0].Text : "";
                if (--parts == 0)
                    await leave!.CancelAsync();
            }
        }
        catch (OperationCanceledException) when (leave is not null)
        {
        }
        return text;
    }

    private static CompletionRequest Request(int kind) => new()
    {
        Prompt = string.Join(' ', Enumerable.Repeat($"The people of state {kind} said", 1 + kind % 5)), MaxTokens = 4 + kind * 5, Temperature = 0,
    };

    /// <summary>The sum of a metric over its labels.</summary>
    private static async Task<double> MetricAsync(Uri url, string name)
    {
        using var http = new HttpClient();
        var lines = (await http.GetStringAsync(new Uri(url, "/metrics"))).Split('\n');
        return lines.Where(line => line.StartsWith($"{name} ", StringComparison.Ordinal) || line.StartsWith($"{name}{{", StringComparison.Ordinal)).Sum(line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));
    }
}
