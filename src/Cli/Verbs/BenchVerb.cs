using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Coordinator.Bench;
using Grok1Cluster.Coordinator.Bench.Wire;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Grpc;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>The machine's roofs, the engine and the wire, measured in one run, so that their ratios mean something on a noisy machine.</summary>
internal static class BenchVerb
{
    private const int MaxTokens = 1 << 20;
    private const int MaxConcurrency = 4096;
    private const int WireRounds = 4000;
    private static readonly TimeSpan WireWarmUp = TimeSpan.FromMilliseconds(200);

    public static Command Create()
    {
        var defaults = new BenchmarkOptions();
        var prompt = new FormattedOption<int[]?>("--prompt", TextFormats.Counts(1, MaxTokens), null, "tokens of a prompt; a result for each (default: 512)") { HelpName = "128,512" };
        var concurrency = new FormattedOption<int[]?>("--concurrency", TextFormats.Counts(1, MaxConcurrency), null, "sequences at a time; a result for each (default: 1,8)") { HelpName = "1,8" };
        var generate = new FormattedOption<int>("--generate", TextFormats.Count(2, MaxTokens), defaults.Generate, "decode steps to time in a run");
        var context = new FormattedOption<int>("--decode-context", TextFormats.Count(1, MaxTokens), defaults.DecodeContext, "tokens of each sequence before its decoding is timed");
        var repeat = new FormattedOption<int>("--repeat", TextFormats.Count(1, 1000), defaults.Runs, "runs of each measurement; the median is shown");
        var startTimes = new Option<bool>("--start-times") { Description = "also start the cluster cold (the model dropped from the system's cache) and warm" };
        var cluster = new ClusterOptions(defaultWorkers: 0);
        var verb = new Verb("bench", "Measure the machine's roofs, prefill, decode and the wire in one run.",
            "grok1 bench --prompt 128,512 --concurrency 1,8,32",
            "grok1 bench --model bench-5b --workers 2 --plan sliced --start-times --json > new.json",
            "grok1 bench compare old.json new.json") { prompt, concurrency, generate, context, repeat, startTimes };
        cluster.AddTo(verb);
        verb.AddJson();
        verb.Add(BenchCompareVerb.Create());
        verb.Runs(async (parsed, cancellation) =>
        {
            var start = ClusterStarter.Options(parsed, cluster.Read(parsed), cancellation);
            var longest = LongestSequence(start.StorePath);
            var options = new BenchmarkOptions
            {
                Prompts = parsed.Get(prompt) is { Length: > 0 } prompts ? prompts : [Math.Min(defaults.Prompts[0], longest - 1)],
                Concurrencies = parsed.Get(concurrency) is { Length: > 0 } counts ? counts : defaults.Concurrencies,
                Generate = parsed.Get(generate),
                DecodeContext = parsed.Get(context),
                Runs = parsed.Get(repeat),
            };
            if (options.LongestSequence > longest)
                throw new UsageException($"--prompt, --decode-context and --generate need sequences of {options.LongestSequence} tokens, this model takes {longest}");
            var report = await RunAsync(parsed, start with { LeastKvPositions = options.KvPositions }, options, parsed.Get(startTimes), cancellation);
            if (parsed.Output.Json)
                parsed.Output.WriteJson(report);
            else
                foreach (var table in BenchTables.Draw(report))
                    parsed.Output.Write(table);
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static int LongestSequence(string storePath)
    {
        using var store = ModelStore.Open(storePath);
        return store.Config.MaxSequenceLength;
    }

    private static async Task<BenchmarkReport> RunAsync(VerbContext context, ClusterSessionOptions cluster, BenchmarkOptions options, bool starts, CancellationToken cancellation)
    {
        var (machine, started) = (MachineInfo.Here(), DateTimeOffset.UtcNow);
        using var progress = context.Output.ProgressLine();
        StartTimes? start = null;
        if (starts)
        {
            progress.Report("cold and warm start");
            start = await StartTimes.MeasureAsync(cluster, context.Output.Note, cancellation);
        }
        var wire = new List<WireResult>();
        await using var session = await ClusterStarter.StartAsync(context, cluster, cancellation);
        if (session.Workers.Count > 0)
            await WireBenchmark.RunAsync(GrpcTransport.Own, mutualTls: false, WireRounds, WireWarmUp, static _ => true, result =>
            {
                wire.Add(result);
                progress.Report($"the wire: {result.Transport}, {result.Bytes} bytes, {result.FanOut} peers");
            }, cancellation);
        using var benchmark = new EngineBenchmark(session, options);
        var results = await benchmark.RunAsync(progress.Report, cancellation);
        var (version, commit) = MachineInfo.Program();
        return new BenchmarkReport(results.Max(result => result.ReadBandwidthGbS), results)
        {
            Command = $"grok1 {string.Join(' ', Environment.GetCommandLineArgs().Skip(1))}",
            Version = version,
            Commit = commit,
            Started = started,
            Machine = machine,
            Model = session.Store.Name,
            Weights = session.Store.ExpertLayout.Format.ToString().ToLowerInvariant(),
            Precision = cluster.Precision.ToString().ToLowerInvariant(),
            Int8PeakGopS = results.Max(result => result.Int8PeakGopS),
            Start = start,
            Wire = wire,
        };
    }
}
