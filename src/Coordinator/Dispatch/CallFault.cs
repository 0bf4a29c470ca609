using Grok1Cluster.Engine.Dispatch;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>What became of a call that has no usable answer; it decides whether its bundles are asked for again.</summary>
internal enum CallFaultKind
{
    /// <summary>The connection broke: any other worker that holds the bundles, or this one when it is back.</summary>
    Lost,

    /// <summary>Something was altered, or the worker had a fault: once more, somewhere else if possible.</summary>
    Faulty,

    /// <summary>The worker does not hold the bundles: another one.</summary>
    NotHeld,

    /// <summary>The same call would be refused by every worker.</summary>
    Final,
}

/// <summary>Why there is no usable answer.</summary>
internal sealed record CallFault(CallFaultKind Kind, DispatchException Cause);
