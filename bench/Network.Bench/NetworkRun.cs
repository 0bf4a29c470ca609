using System.Text.Json;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Network.Bench;

/// <summary>What <c>grok1 bench</c> measured with one round trip.</summary>
/// <param name="RoundTripMs">Milliseconds that the relays were to add to a round trip.</param>
/// <param name="AddedUs">Microseconds that they added to one of 12 KiB, beside a relay without delay.</param>
/// <param name="Results">The report's results.</param>
internal sealed record NetworkRun(double RoundTripMs, double AddedUs, IReadOnlyList<NetworkRun.Result> Results)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(30);

    /// <param name="Prompt">Tokens of a prompt.</param>
    /// <param name="Concurrency">Sequences.</param>
    /// <param name="Prefill">Tokens a second.</param>
    /// <param name="Decode">Tokens a second, all sequences.</param>
    internal sealed record Result(int Prompt, int Concurrency, double Prefill, double Decode)
    {
        /// <summary>Milliseconds of a decode step.</summary>
        public double StepMs => 1e3 * Concurrency / Decode;
    }

    /// <summary>Runs the benchmark on the coordinator's host.</summary>
    public static async Task<NetworkRun> MeasureAsync(LabCluster cluster, double roundTripMs, RelayCost relay, RelayCost undelayed, string[] measured)
    {
        var run = await cluster.RunAsync(Limit, ["bench", "--json", .. cluster.CoordinatorFlags, .. measured]);
        if (run.ExitCode != 0)
            throw new InvalidOperationException($"grok1 bench ended with exit code {run.ExitCode}: {run.Error}");
        return new NetworkRun(roundTripMs, relay.RelayedMicroseconds - undelayed.RelayedMicroseconds,
        [
            .. JsonDocument.Parse(run.Output).RootElement.GetProperty("results").EnumerateArray().Select(result => new Result(
                result.GetProperty("prompt_tokens").GetInt32(), result.GetProperty("concurrency").GetInt32(),
                result.GetProperty("prefill_tokens_per_second").GetDouble(), result.GetProperty("decode_tokens_per_second").GetDouble())),
        ]);
    }

    /// <summary>Every run beside the first one: the share of its rate that is kept, and what a decode step loses.</summary>
    public static void Print(IReadOnlyList<NetworkRun> runs, string model)
    {
        var layers = JsonDocument.Parse(File.ReadAllText(Path.Combine(model, "manifest.json"))).RootElement.GetProperty("config").GetProperty("layerCount").GetInt32();
        Console.WriteLine($"{Path.GetFileName(model)}, {layers} layers; kept is the share of the rate of the first round trip, lost is of a decode step");
        Console.WriteLine("round trip ms  added us  prompt  seq  prefill tok/s  kept  decode tok/s  kept  lost ms/step  lost ms/layer");
        foreach (var run in runs)
            foreach (var (result, first) in run.Results.Zip(runs[0].Results))
                Console.WriteLine(
                    $"{run.RoundTripMs,13:0.0}  {run.AddedUs,8:0}  {result.Prompt,6}  {result.Concurrency,3}  {result.Prefill,13:0.0}  {result.Prefill / first.Prefill,4:0.00}"
                    + $"  {result.Decode,12:0.0}  {result.Decode / first.Decode,4:0.00}  {result.StepMs - first.StepMs,12:0.00}  {(result.StepMs - first.StepMs) / layers,13:0.000}");
    }
}
