using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Coordinator.Bench;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Kernels.Diagnostics;
using Spectre.Console;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>The machine's read bandwidth and the engine, measured in one run, so that their ratio means something on a noisy machine.</summary>
internal static class BenchVerb
{
    public static Command Create()
    {
        var prompt = new FormattedOption<int>("--prompt", TextFormats.Count(1), 512, "tokens of a prompt");
        var generate = new FormattedOption<int>("--generate", TextFormats.Count(2), 64, "tokens to generate for each sequence");
        var concurrency = new FormattedOption<int[]?>("--concurrency", TextFormats.TokenIds, null, "sequences at a time, one run for each (default: 1,8)") { HelpName = "1,8" };
        var cluster = new ClusterOptions(defaultWorkers: 0);
        var verb = new Verb("bench", "Measure read bandwidth, prefill and decode in one run.",
            "grok1 bench --concurrency 1,8",
            "grok1 bench --model bench-5b --workers 2 --plan sliced --concurrency 1,8,32 --json") { prompt, generate, concurrency };
        cluster.AddTo(verb);
        verb.AddJson();
        verb.Runs(async (context, cancellation) =>
        {
            int[] runs = context.Get(concurrency) is { Length: > 0 } given ? given : [1, 8];
            if (runs.Any(count => count is < 1 or > 4096))
                throw new UsageException("--concurrency: counts from 1 to 4096, separated by commas");
            await using var session = await ClusterStarter.StartAsync(context, cluster.Read(context), cancellation);
            var longest = session.Store.Config.MaxSequenceLength - context.Get(generate);
            if (context.Get(prompt) > longest)
                throw new UsageException($"--prompt: this model takes at most {longest} tokens with {context.Get(generate)} to generate");
            context.Output.Note("measuring the read bandwidth");
            var bandwidth = ReadBandwidth.Measure(session.Pool) * 1e9;
            var benchmark = new EngineBenchmark(session, session.StartEngine(new EngineOptions { MaxRunning = Math.Max(64, runs.Max()), MaxWaiting = 8192 }), bandwidth);
            var results = new List<BenchmarkResult>();
            foreach (var count in runs)
            {
                context.Output.Note($"concurrency {count}");
                results.Add(await benchmark.RunAsync(count, context.Get(prompt), context.Get(generate), cancellation));
            }
            if (context.Output.Json)
                context.Output.WriteJson(new BenchResult(bandwidth / 1e9, results));
            else
                context.Output.Write(Draw(bandwidth, results));
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static Table Draw(double bandwidth, IEnumerable<BenchmarkResult> results)
    {
        var table = new Table { Title = new TableTitle($"read bandwidth {bandwidth / 1e9:0.0} GB/s") };
        foreach (var column in new[] { "workers", "plan", "sequences", "prefill tok/s", "decode tok/s", "MB/token", "of roofline", "dispatch p50 us", "p99 us", "memory GiB" })
            table.AddColumn(new TableColumn(column).RightAligned());
        foreach (var r in results)
            table.AddRow(
                $"{r.Workers}", r.Plan ?? "-", $"{r.Concurrency}", $"{r.PrefillTokensPerSecond:0.0}", $"{r.DecodeTokensPerSecond:0.0}", $"{r.WeightBytesPerToken / 1e6:0.0}",
                $"{r.RooflineFraction:0.00}", $"{r.DispatchP50Us:0}", $"{r.DispatchP99Us:0}", $"{r.MemoryPeakBytes / 1073741824.0:0.00}");
        return table;
    }

    private sealed record BenchResult(double ReadBandwidthGbS, IReadOnlyList<BenchmarkResult> Results);
}
