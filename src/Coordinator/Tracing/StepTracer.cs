using System.Diagnostics;
using Grok1Cluster.Coordinator.Metrics;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Tracing;

/// <summary>
/// Spans of what the engine did for a traced request: request > step > layer > worker call. They are made after the fact,
/// from what was measured anyway. A step that serves several traced requests is in the trace of the first.
/// </summary>
public static class StepTracer
{
    /// <summary>The activity source's name.</summary>
    public const string SourceName = "Grok1Cluster.Coordinator";

    /// <summary>Steps of a sequence that are written in detail; a step of Grok-1 over 4 workers is 321 spans.</summary>
    private const int MaxSteps = 32;

    internal static readonly ActivitySource Source = new(SourceName, Product.Version);

    /// <summary>A finished step of a traced sequence.</summary>
    public static void Write(StepRecord record)
    {
        var traced = record.Times.Traced!;
        if (!Source.HasListeners() || traced.TracedSteps >= MaxSteps)
            return;
        traced.TracedSteps++;
        var clock = new SpanClock();
        using var step = Start("step", ActivityKind.Internal, traced.Trace, clock.At(record.Times.Started));
        if (step is null)
            return;
        step.SetTag("grok1.rows", record.Times.Rows).SetTag("grok1.sequences", record.Times.Sequences);
        foreach (ref readonly var round in record.Rounds)
            WriteRound(record, round, step.Context, clock);
        step.SetEndTime(clock.At(record.Times.Ended));
    }

    /// <summary>A sequence that is over: its wait, its prefill and its decoding.</summary>
    public static void Write(SequenceTimes times, SequenceOutcome outcome)
    {
        if (!times.IsTraced || !Source.HasListeners())
            return;
        var clock = new SpanClock();
        using var span = Start("sequence", ActivityKind.Internal, times.Trace, clock.At(times.Submitted));
        if (span is null)
            return;
        span.SetTag("gen_ai.usage.input_tokens", times.PromptTokens).SetTag("gen_ai.usage.output_tokens", times.GeneratedTokens);
        span.SetTag("grok1.cached_tokens", times.CachedTokens).SetTag("grok1.outcome", outcome.ToString().ToLowerInvariant());
        if (times.Admitted != 0)
            span.AddEvent(new ActivityEvent("admitted", clock.At(times.Admitted)));
        if (times.FirstToken != 0)
            span.AddEvent(new ActivityEvent("first token", clock.At(times.FirstToken)));
        span.SetStatus(outcome == SequenceOutcome.Failed ? ActivityStatusCode.Error : ActivityStatusCode.Unset);
        span.SetEndTime(clock.At(times.Ended));
    }

    private static void WriteRound(StepRecord record, in RoundTiming round, ActivityContext step, SpanClock clock)
    {
        using var span = Start("layer", ActivityKind.Internal, step, clock.At(round.Started - round.Before));
        if (span is null)
            return;
        span.SetTag("grok1.layer", round.Layer).SetTag("grok1.micro_batch", round.Slot);
        span.SetTag("grok1.attention_us", Microseconds(round.Before)).SetTag("grok1.experts_us", Microseconds(round.Ended - round.Started));
        for (var worker = 0; worker < record.Workers.Count; worker++)
        {
            var call = record.Call(worker, round);
            if (call.Started == 0)
                continue;
            using var callSpan = Start("worker call", ActivityKind.Client, span.Context, clock.At(call.Started));
            callSpan?.SetTag("grok1.worker", record.Workers[worker]).SetTag("grok1.rows", call.Rows)
                .SetTag("grok1.queue_us", (long)call.QueueUs).SetTag("grok1.compute_us", (long)call.ComputeUs)
                .SetTag("grok1.sent_bytes", call.SentBytes).SetTag("grok1.received_bytes", call.ReceivedBytes)
                .SetEndTime(clock.At(call.Received));
        }
        span.SetEndTime(clock.At(round.Ended));
    }

    private static Activity? Start(string name, ActivityKind kind, ActivityContext parent, DateTimeOffset start) =>
        Source.StartActivity(name, kind, parent, tags: null, links: null, start);

    private static long Microseconds(long ticks) => (long)Stopwatch.GetElapsedTime(0, ticks).TotalMicroseconds;

    /// <summary>Turns timestamps into times of the day.</summary>
    private readonly struct SpanClock()
    {
        private readonly DateTime _now = DateTime.UtcNow;
        private readonly long _timestamp = Stopwatch.GetTimestamp();

        public DateTime At(long timestamp) => _now - Stopwatch.GetElapsedTime(timestamp, _timestamp);
    }
}
