using System.Diagnostics;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Coordinator.Bench;

/// <summary>What was measured at one concurrency.</summary>
/// <param name="Workers">Worker processes.</param>
/// <param name="Plan">The plan that was asked for; null without workers.</param>
/// <param name="Concurrency">Sequences at a time.</param>
/// <param name="PromptTokens">Tokens of each prompt.</param>
/// <param name="GeneratedTokens">Tokens generated for each.</param>
/// <param name="PrefillTokensPerSecond">Prompt tokens of all sequences over the time until each had its first token.</param>
/// <param name="DecodeTokensPerSecond">Of all sequences together, while all of them decode.</param>
/// <param name="WeightBytesPerToken">Weights and scales read for a decoded token, the distinct experts of a step once.</param>
/// <param name="RooflineFraction">WeightBytesPerToken times tokens per second over the read bandwidth.</param>
/// <param name="DispatchP50Us">Median time of a layer's round to the experts while decoding, computation included.</param>
/// <param name="DispatchP99Us">Its 99th percentile.</param>
/// <param name="MemoryPeakBytes">Peak resident memory of all processes, shared pages counted in each.</param>
public sealed record BenchmarkResult(
    int Workers, string? Plan, int Concurrency, int PromptTokens, int GeneratedTokens, double PrefillTokensPerSecond, double DecodeTokensPerSecond,
    double WeightBytesPerToken, double RooflineFraction, double? DispatchP50Us, double? DispatchP99Us, long MemoryPeakBytes);

/// <summary>Drives an engine with random prompts and measures prefill and decode.</summary>
public sealed class EngineBenchmark
{
    private const int WarmUpTokens = 8;

    private readonly ClusterSession _session;
    private readonly InferenceEngine _engine;
    private readonly double _readBandwidth;
    private readonly Random _random = new(1);
    private long _steps;
    private long _expertsTouched;
    private long _rows;

    /// <param name="session">The cluster.</param>
    /// <param name="engine">Its engine.</param>
    /// <param name="readBandwidth">Bytes a second that this machine reads.</param>
    public EngineBenchmark(ClusterSession session, InferenceEngine engine, double readBandwidth)
    {
        (_session, _engine, _readBandwidth) = (session, engine, readBandwidth);
        session.Forward.Routed += CountExperts;
    }

    /// <summary>Runs <paramref name="concurrency"/> sequences together; one short run before it warms everything up.</summary>
    public async Task<BenchmarkResult> RunAsync(int concurrency, int prompt, int generate, CancellationToken cancel)
    {
        await GenerateAsync(1, Math.Min(prompt, WarmUpTokens), WarmUpTokens, cancel);
        var (prefill, _) = await GenerateAsync(concurrency, prompt, 1, cancel);
        (_steps, _expertsTouched, _rows) = (0, 0, 0);
        _session.Times?.Clear();
        var (_, decode) = await GenerateAsync(concurrency, 1, generate, cancel);
        var bytes = BytesPerToken();
        return new BenchmarkResult(
            _session.Workers.Count, _session.Plan is null ? null : _session.Options.Plan.ToString(), concurrency, prompt, generate, prefill, decode,
            bytes, bytes * decode / _readBandwidth, _session.Times?.Quantile(0.5), _session.Times?.Quantile(0.99), MemoryPeak());
    }

    /// <summary>Prompt tokens a second until every sequence has its first token; tokens a second while all decode.</summary>
    private async Task<(double Prefill, double Decode)> GenerateAsync(int concurrency, int prompt, int generate, CancellationToken cancel)
    {
        var start = Stopwatch.GetTimestamp();
        var times = await Task.WhenAll(Enumerable.Range(0, concurrency).Select(async _ =>
        {
            var handle = _engine.Submit(new GenerationRequest
            {
                Prompt = [.. Enumerable.Range(0, prompt).Select(_ => _random.Next(_session.Store.Config.VocabularySize))],
                MaxTokens = generate, IgnoreEos = true, Sampling = new SamplingOptions { Temperature = 0 },
            }, cancel);
            var arrived = new List<double>();
            await foreach (var token in handle.Tokens.ReadAllAsync(cancel))
                arrived.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            await handle.Completion;
            return arrived;
        }).ToArray());
        var (allBegan, firstEnded) = (times.Max(arrived => arrived[0]), times.Min(arrived => arrived[^1]));
        var between = times.Sum(arrived => arrived.Count(time => time > allBegan && time <= firstEnded));
        return (concurrency * prompt / allBegan, firstEnded > allBegan ? between / (firstEnded - allBegan) : 0);
    }

    private void CountExperts(int layer, ReadOnlyMemory<int> chosen)
    {
        var rows = chosen.Length / _session.Store.Config.ExpertsPerToken;
        Span<bool> touched = stackalloc bool[_session.Store.Config.ExpertCount];
        foreach (var expert in chosen.Span)
            touched[expert] = true;
        _expertsTouched += touched.Count(true);
        if (layer > 0)
            return;
        _steps++;
        _rows += rows;
    }

    private double BytesPerToken()
    {
        var dense = _session.Store.DenseLayout.Tensors.Where(IsReadEveryStep).Sum(tensor => tensor.WeightBytes + tensor.ScaleBytes);
        var layout = _session.Store.ExpertLayout;
        var expert = layout.Bytes(0, layout.Blocks.Count);
        return _rows == 0 ? 0 : ((double)_steps * dense + _expertsTouched * (double)expert) / _rows;
    }

    /// <summary>Of the embedding a step reads a few rows; the head is the table itself in exact mode, its packed copy in fast.</summary>
    private bool IsReadEveryStep(Model.Store.DenseTensor tensor) =>
        tensor.Role != TensorRole.Embedding || tensor.IsPacked == (_session.Options.Precision == Model.Layers.Precision.Fast);

    private long MemoryPeak()
    {
        using var self = Process.GetCurrentProcess();
        return self.PeakWorkingSet64 + _session.LocalProcessIds.Sum(id =>
        {
            using var process = Process.GetProcessById(id);
            return process.PeakWorkingSet64;
        });
    }
}
