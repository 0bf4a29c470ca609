using System.Diagnostics;
using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Coordinator.Metrics;

namespace Grok1Cluster.Coordinator.Dashboard;

/// <summary>One step for the waterfall; times are microseconds from its start.</summary>
/// <param name="Started">When it started; tells steps apart.</param>
/// <param name="Rows">Tokens computed.</param>
/// <param name="Sequences">Sequences that had some of them.</param>
/// <param name="TotalUs">Its whole time.</param>
/// <param name="Workers">Ids, in the order of each layer's calls.</param>
/// <param name="Rounds">To the experts, layer by layer.</param>
internal sealed record StepView(long Started, int Rows, int Sequences, long TotalUs, IReadOnlyList<string> Workers, IReadOnlyList<RoundView> Rounds)
{
    public static StepView Of(StepRecord step)
    {
        var start = step.Times.Started;
        return new StepView(start, step.Times.Rows, step.Times.Sequences, Us(start, step.Times.Ended), step.Workers,
            [.. step.Rounds.ToArray().Select(round => new RoundView(
                round.Layer, round.Slot, Us(start, round.Started - round.Before), Us(start, round.Started), Us(start, round.Ended),
                [.. Enumerable.Range(0, step.Workers.Count).Select(worker => CallView.Of(step.Call(worker, round), start))]))]);
    }

    internal static long Us(long start, long end) => (long)Stopwatch.GetElapsedTime(start, end).TotalMicroseconds;
}

/// <param name="Layer">The layer.</param>
/// <param name="Slot">Which micro-batch of the step.</param>
/// <param name="BeginUs">Attention and router begin.</param>
/// <param name="StartUs">The round to the experts begins.</param>
/// <param name="EndUs">The last sum is added.</param>
/// <param name="Calls">By worker; null where it had nothing to do.</param>
internal sealed record RoundView(int Layer, int Slot, long BeginUs, long StartUs, long EndUs, IReadOnlyList<CallView?> Calls);

internal sealed record CallView(long StartUs, long SentUs, long ReceivedUs, uint QueueUs, uint ComputeUs, int Rows)
{
    public static CallView? Of(in CallTiming call, long start) => call.Started == 0 ? null : new CallView(
        StepView.Us(start, call.Started), StepView.Us(start, Math.Min(call.Sent, call.Received)), StepView.Us(start, call.Received), call.QueueUs, call.ComputeUs, call.Rows);
}
