using System.Diagnostics;
using System.Diagnostics.Metrics;
using Grok1Cluster.Cluster.Metrics;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Metrics;

/// <summary>Times and sizes of requests, from what the engine measured of their sequences.</summary>
public sealed class RequestMetrics
{
    private readonly Histogram<double> _timeToFirstToken;
    private readonly Histogram<double> _timePerOutputToken;
    private readonly Histogram<double> _latency;
    private readonly Histogram<double> _queueTime;
    private readonly Histogram<double> _prefillTime;
    private readonly Histogram<double> _decodeTime;
    private readonly Histogram<double> _promptTokens;
    private readonly Histogram<double> _generationTokens;
    private readonly Histogram<double> _maxTokens;
    private readonly Counter<long> _requests;
    private readonly KeyValuePair<string, object?>[] _outcomes =
        [.. Enum.GetNames<SequenceOutcome>().Select(name => new KeyValuePair<string, object?>("outcome", name.ToLowerInvariant()))];

    public RequestMetrics(Meter meter)
    {
        _timeToFirstToken = Seconds("grok1_time_to_first_token_seconds", "From the arrival of a request to its first token.", Buckets.TimeToFirstToken);
        _timePerOutputToken = Seconds("grok1_time_per_output_token_seconds", "From a token of a request to its next.", Buckets.TimePerOutputToken);
        _latency = Seconds("grok1_e2e_request_latency_seconds", "From the arrival of a request to its last token.", Buckets.Request);
        _queueTime = Seconds("grok1_request_queue_time_seconds", "Time that a request waited for its first step.", Buckets.Request);
        _prefillTime = Seconds("grok1_request_prefill_time_seconds", "From a request's first step to its first token.", Buckets.Request);
        _decodeTime = Seconds("grok1_request_decode_time_seconds", "From a request's first token to its last.", Buckets.Request);
        _promptTokens = Tokens("grok1_request_prompt_tokens", "Prompt tokens of a request.");
        _generationTokens = Tokens("grok1_request_generation_tokens", "Tokens generated for a request.");
        _maxTokens = Tokens("grok1_request_max_tokens", "Tokens that a request asked for at most.");
        _requests = meter.CreateCounter<long>("grok1_requests_total", description: "Requests that ended, by outcome: stop, length, cancelled or failed.");
        // A rate needs a value from before the first failure.
        foreach (var outcome in _outcomes)
            _requests.Add(0, outcome);

        Histogram<double> Seconds(string name, string help, double[] buckets) =>
            meter.CreateHistogram(name, "s", help, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = buckets });
        Histogram<double> Tokens(string name, string help) =>
            meter.CreateHistogram(name, null, help, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = Buckets.RequestTokens });
    }

    /// <summary>Recent times to the first token.</summary>
    public LatencyWindow RecentTimeToFirstToken { get; } = new();

    /// <summary>Recent times from a token to the next.</summary>
    public LatencyWindow RecentTimePerOutputToken { get; } = new();

    public void TokenGenerated(SequenceTimes sequence, long now)
    {
        if (sequence.LastToken == 0)
        {
            var first = Seconds(sequence.Submitted, now);
            _timeToFirstToken.Record(first);
            RecentTimeToFirstToken.Add(first);
            return;
        }
        var between = Seconds(sequence.LastToken, now);
        _timePerOutputToken.Record(between);
        RecentTimePerOutputToken.Add(between);
    }

    public void SequenceEnded(SequenceTimes sequence, SequenceOutcome outcome)
    {
        _requests.Add(1, _outcomes[(int)outcome]);
        if (sequence.Admitted == 0)
            return;
        _latency.Record(Seconds(sequence.Submitted, sequence.Ended));
        _queueTime.Record(Seconds(sequence.Submitted, sequence.Admitted));
        _promptTokens.Record(sequence.PromptTokens);
        _generationTokens.Record(sequence.GeneratedTokens);
        _maxTokens.Record(sequence.MaxTokens);
        if (sequence.FirstToken == 0)
            return;
        _prefillTime.Record(Seconds(sequence.Admitted, sequence.FirstToken));
        _decodeTime.Record(Seconds(sequence.FirstToken, sequence.LastToken));
    }

    private static double Seconds(long start, long end) => Stopwatch.GetElapsedTime(start, end).TotalSeconds;
}
