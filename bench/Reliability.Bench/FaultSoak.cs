using System.Diagnostics;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Reliability.Bench.Clusters;

namespace Grok1Cluster.Reliability.Bench;

/// <summary>What became of all requests of a soak, and what the coordinator had in use.</summary>
/// <param name="Complete">With the right text.</param>
/// <param name="Errors">Ended with an explicit error.</param>
/// <param name="Wrong">With another text.</param>
/// <param name="Cut">Ended without their end and without an error.</param>
/// <param name="Faults">That were injected.</param>
/// <param name="EarlyBytes">Resident memory after the first third.</param>
/// <param name="LateBytes">At the end.</param>
/// <param name="EarlyHandles">Open files and sockets after the first third, with all workers there.</param>
/// <param name="LateHandles">At the end.</param>
public sealed record SoakLedger(int Complete, int Errors, int Wrong, int Cut, int Faults, long EarlyBytes, long LateBytes, int EarlyHandles, int LateHandles);

/// <summary>
/// Clients that stream without end while something happens to a worker every few seconds: killed, stopped for a while, and all
/// along answers that are altered, not finite or slow by chance. Every request must be complete and right, or end with an
/// explicit error.
/// </summary>
public sealed class FaultSoak(string model, int tokens, Action<string> note)
{
    private const int Clients = 4, Kinds = 8, Workers = 3;

    /// <summary>What workers do wrong by chance, once the right texts are known.</summary>
    private static string ByChance(string model, int tokens)
    {
        using var store = ModelStore.Open(model);
        var after = 2 * store.Config.LayerCount * tokens * Kinds;
        return $"corrupt,after={after},chance=0.0005+nan,after={after},chance=0.0005+delay=20ms,after={after},chance=0.002";
    }

    /// <summary>Runs.</summary>
    /// <param name="time">How long.</param>
    /// <param name="every">Time between two faults.</param>
    /// <param name="seed">Decides which.</param>
    public async Task<SoakLedger> RunAsync(TimeSpan time, TimeSpan every, int seed)
    {
        using var cluster = await TestedCluster.StartAsync(new TestedClusterOptions { Model = model, Workers = Workers, Fault = ByChance(model, tokens) });
        using var streams = new Streams(cluster.Url, tokens);
        var texts = await ReferenceAsync(streams, Kinds);
        var start = Stopwatch.GetTimestamp();
        var stream = streams.RunAsync(Clients, Kinds, () => Stopwatch.GetElapsedTime(start) < time);
        var random = new Random(seed);
        var (faults, early) = (0, (Bytes: 0L, Handles: 0));
        while (Stopwatch.GetElapsedTime(start) is var elapsed && elapsed < time)
        {
            if (early.Bytes == 0 && elapsed > time / 3)
            {
                await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
                early = await cluster.UseAsync();
            }
            note($"{elapsed.TotalSeconds,6:0} s  {await InjectAsync(cluster, random)}; {streams.Parts} tokens so far");
            faults++;
            await Task.WhenAny(stream, Task.Delay(every));
        }
        var results = await stream;
        await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        var late = await cluster.UseAsync();
        foreach (var error in results.Where(result => result.Error is not null).GroupBy(result => result.Error))
            note($"{error.Count()} requests ended with: {error.Key}");
        var whole = results.Where(result => result is { Error: null, IsCut: false }).ToArray();
        var right = whole.Count(result => result.Text == texts[result.Kind]);
        return new SoakLedger(right, results.Count(result => result.Error is not null), whole.Length - right, results.Count(result => result.IsCut), faults, early.Bytes, late.Bytes, early.Handles, late.Handles);
    }

    /// <summary>The right texts: one after the other, while nothing is done to the cluster.</summary>
    public static async Task<IReadOnlyList<string>> ReferenceAsync(Streams streams, int kinds)
    {
        var texts = new List<string>();
        for (var kind = 0; kind < kinds; kind++)
            texts.Add(await streams.RequestAsync(kind) is { Error: null, IsCut: false } result ? result.Text : throw new InvalidOperationException("the undisturbed cluster failed"));
        return texts;
    }

    private static async Task<string> InjectAsync(TestedCluster cluster, Random random)
    {
        var worker = random.Next(Workers);
        switch (random.Next(3))
        {
            case 0:
                await cluster.KillAsync(worker);
                return $"worker {worker} was killed";
            case 1:
                var time = TimeSpan.FromMilliseconds(random.Next(200, 3000));
                await cluster.StopAsync(worker, time);
                return $"worker {worker} stood still for {time.TotalSeconds:0.0} s";
            default:
                await cluster.KillAsync(worker);
                await cluster.KillAsync((worker + 1) % Workers);
                return $"workers {worker} and {(worker + 1) % Workers} were killed, so that some experts had nobody";
        }
    }
}
