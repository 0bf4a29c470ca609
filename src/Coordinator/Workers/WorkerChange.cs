namespace Grok1Cluster.Coordinator.Workers;

/// <summary>What happened to a worker of the cluster.</summary>
public enum WorkerChange
{
    /// <summary>It is part of the cluster from now on.</summary>
    Joined,

    /// <summary>Its connection broke; it is looked for.</summary>
    Lost,

    /// <summary>It is connected again.</summary>
    Back,

    /// <summary>It holds more or less than before.</summary>
    HoldsOther,

    /// <summary>It is no part of the cluster any more.</summary>
    Left,
}
