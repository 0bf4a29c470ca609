using System.Diagnostics;
using Grok1Cluster.Engine.Dispatch;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// Told of every layer's round to the experts and of every call in it, on the engine's thread, after the fact: it must be
/// quick, must not allocate and must not throw. Timestamps are those of <see cref="Stopwatch.GetTimestamp"/>.
/// </summary>
public interface IDispatchObserver
{
    /// <summary>One worker's call of the layer under way has been answered.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="slot">Which of the step's micro-batches: 0 to <see cref="ExpertBatch.MaxSlots"/> - 1.</param>
    /// <param name="worker">The worker's id.</param>
    /// <param name="call">What was measured.</param>
    void Called(int layer, int slot, string worker, in CallTiming call);

    /// <summary>A micro-batch of a layer is over: from the first byte to be sent to the last sum added.</summary>
    void LayerEnded(int layer, int slot, int rows, long started, long ended);
}

/// <summary>One call to a worker.</summary>
/// <param name="Started">The dispatcher begins to write the call.</param>
/// <param name="Sent">The transport has it.</param>
/// <param name="Received">The reply is read.</param>
/// <param name="QueueUs">Microseconds that it waited in the worker.</param>
/// <param name="ComputeUs">Microseconds of its computation.</param>
/// <param name="Rows">Tokens in it.</param>
/// <param name="SentBytes">Message bytes out.</param>
/// <param name="ReceivedBytes">Message bytes in.</param>
public readonly record struct CallTiming(long Started, long Sent, long Received, uint QueueUs, uint ComputeUs, int Rows, int SentBytes, int ReceivedBytes);
