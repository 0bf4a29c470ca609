using System.Diagnostics;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Coordinator.Bench;

/// <summary>
/// Drives an engine with random prompts and measures prefill and decode in steady state: before anything is timed the same
/// work has run once, and every expert of every layer was used.
/// </summary>
public sealed class EngineBenchmark : IDisposable
{
    private const int WarmUpPrompt = 128;
    private const int MostWarmUps = 16;

    private readonly ClusterSession _session;
    private readonly BenchmarkOptions _options;
    private readonly InferenceEngine _engine;
    private readonly StepTimer _timer;
    private readonly ModelTraffic _traffic;
    private readonly Random _random = new(1);
    private MachineRoofs? _before;

    /// <param name="session">The cluster; no engine was started on it.</param>
    /// <param name="options">What to measure.</param>
    /// <exception cref="ResourceException">The sequences do not fit into the KV memory.</exception>
    public EngineBenchmark(ClusterSession session, BenchmarkOptions options)
    {
        (_session, _options) = (session, options);
        var most = options.Concurrencies.Max();
        CheckKv();
        var config = session.Store.Config;
        _timer = new StepTimer(config.LayerCount, config.ExpertCount, config.ExpertsPerToken);
        _traffic = new ModelTraffic(session.Store, session.Options.Precision);
        session.Forward.Routed += _timer.Routed;
        _engine = session.StartEngine(new EngineOptions { MaxRunning = most, MaxWaiting = most, MaxRows = Math.Max(new EngineOptions().MaxRows, most) });
    }

    /// <summary>Measures every prompt length at every concurrency.</summary>
    /// <param name="progress">Told what is under way.</param>
    /// <param name="cancel">Ends the benchmark.</param>
    public async Task<IReadOnlyList<BenchmarkResult>> RunAsync(Action<string> progress, CancellationToken cancel)
    {
        var results = new List<BenchmarkResult>();
        var total = _options.Concurrencies.Count * _options.Prompts.Count;
        progress("warming up");
        await TouchEveryExpertAsync(cancel);
        foreach (var concurrency in _options.Concurrencies)
            foreach (var prompt in _options.Prompts)
            {
                var title = $"[{results.Count + 1}/{total}] prompt {prompt}, {concurrency} sequences";
                results.Add(await MeasureAsync(prompt, concurrency, stage => progress($"{title}: {stage}"), cancel));
            }
        return results;
    }

    public void Dispose() => _session.Forward.Routed = null;

    private async Task<BenchmarkResult> MeasureAsync(int prompt, int concurrency, Action<string> progress, CancellationToken cancel)
    {
        var threads = _session.Options.Threads ?? Environment.ProcessorCount;
        progress("read bandwidth");
        // What the machine did after the result before is what it does before this one.
        _before ??= MachineRoofs.Measure(threads);
        PeakMemory.ResetOwn();
        var together = BenchmarkOptions.PrefillSequences(prompt, concurrency);
        progress("warming up");
        await PrefillAsync(together, prompt, cancel);
        await DecodeAsync(concurrency, steps: 1, began: null, cancel);

        var prefill = new List<double>();
        var decode = new List<(double RowsPerSecond, double[] StepMilliseconds, double TouchedPerStep)>();
        _session.Times?.Clear();
        for (var run = 1; run <= _options.Runs; run++)
        {
            progress($"prefill, run {run} of {_options.Runs}");
            prefill.Add(await PrefillAsync(together, prompt, cancel));
        }
        for (var run = 1; run <= _options.Runs; run++)
        {
            progress($"decode, run {run} of {_options.Runs}");
            // Rounds of prefill, and of steps in which sequences still join, are not those of decode.
            decode.Add(await DecodeAsync(concurrency, _options.Generate, run == 1 ? () => _session.Times?.Clear() : null, cancel));
        }
        var memory = PeakMemory.Sum(_session.LocalProcessIds);
        progress("read bandwidth");
        var after = MachineRoofs.Measure(threads);
        var roofs = _before.Or(after);
        _before = after;

        var touched = decode.Average(run => run.TouchedPerStep);
        var bytesPerToken = _traffic.StepBytes(touched) / concurrency;
        var (prefillRate, decodeRate) = (Median(prefill), Median([.. decode.Select(run => run.RowsPerSecond)]));
        double[] steps = [.. decode.SelectMany(run => run.StepMilliseconds).Order()];
        return new BenchmarkResult(
            _session.Workers.Count, _session.Plan is null ? null : _session.Options.Plan.ToString(), concurrency, prompt, _options.Generate,
            prefillRate, decodeRate, bytesPerToken, bytesPerToken * decodeRate / roofs.ReadBytesPerSecond,
            _session.Times?.Quantile(0.5), _session.Times?.Quantile(0.99), memory)
        {
            DispatchP999Us = _session.Times?.Quantile(0.999),
            PrefillSequences = together,
            DecodeContext = _options.DecodeContext,
            ExpertsTouchedPerLayer = touched / _session.Store.Config.LayerCount,
            StepP50Ms = Quantile(steps, 0.5),
            StepP99Ms = Quantile(steps, 0.99),
            PrefillRuns = prefill,
            DecodeRuns = [.. decode.Select(run => run.RowsPerSecond)],
            ReadBandwidthGbS = roofs.ReadBytesPerSecond / 1e9,
            Int8PeakGopS = roofs.Int8OperationsPerSecond / 1e9,
            PrefillPeakFraction = _session.Options.Precision == Precision.Exact ? null : prefillRate * _traffic.PrefillOperationsPerToken / roofs.Int8OperationsPerSecond,
        };
    }

    /// <summary>Short prompts until every expert of every layer had a token; a router that never chooses one does not hold this up for ever.</summary>
    private async Task TouchEveryExpertAsync(CancellationToken cancel)
    {
        var config = _session.Store.Config;
        _ = _timer.Watch(rows: 0, steps: 0, began: null);
        for (var i = 0; i < MostWarmUps && _timer.TouchedEver < config.LayerCount * config.ExpertCount; i++)
            await SubmitAsync(1, Math.Min(WarmUpPrompt, config.MaxSequenceLength - 1), 1, cancel);
    }

    /// <summary>Prompt tokens a second.</summary>
    private async Task<double> PrefillAsync(int sequences, int prompt, CancellationToken cancel)
    {
        var start = Stopwatch.GetTimestamp();
        await SubmitAsync(sequences, prompt, generate: 1, cancel);
        return sequences * (double)prompt / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Times steps in which all sequences decode, then cancels them.</summary>
    private async Task<(double RowsPerSecond, double[] StepMilliseconds, double TouchedPerStep)> DecodeAsync(int sequences, int steps, Action? began, CancellationToken cancel)
    {
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var seen = _timer.Watch(sequences, steps, began);
        var generating = SubmitAsync(sequences, _options.DecodeContext, _session.Store.Config.MaxSequenceLength, enough.Token);
        await Task.WhenAny(seen, generating);
        // Not which of them came first: a small model has finished before anyone looks.
        if (!seen.IsCompleted)
        {
            await generating;
            throw new InvalidOperationException($"{sequences} sequences ended before {steps} steps of all of them were seen");
        }
        await enough.CancelAsync();
        await generating.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        cancel.ThrowIfCancellationRequested();
        return _timer.Result();
    }

    private Task SubmitAsync(int sequences, int prompt, int generate, CancellationToken cancel) =>
        Task.WhenAll(Enumerable.Range(0, sequences).Select(_ => new GenerationRequest
        {
            // Random, so that no prompt is in the prefix cache.
            Prompt = [.. Enumerable.Range(0, prompt).Select(_ => _random.Next(_session.Store.Config.VocabularySize))],
            MaxTokens = generate, IgnoreEos = true, Sampling = new SamplingOptions { Temperature = 0 },
        }).ToArray().Select(request => _engine.Submit(request, cancel).Completion));

    private void CheckKv()
    {
        var held = _session.KvPool.Capacity * KvBlockLayout.Tokens;
        if (_options.KvPositions > held)
            throw new ResourceException($"these sequences need {_options.KvPositions} positions of KV memory, it has {held}; give more --kv-memory, or measure fewer sequences");
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static double Quantile(double[] sorted, double share) => sorted[(int)(share * (sorted.Length - 1))];
}
