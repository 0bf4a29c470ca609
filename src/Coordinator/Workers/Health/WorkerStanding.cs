namespace Grok1Cluster.Coordinator.Workers.Health;

/// <summary>Whether a worker is asked, the better first: of a bundle's workers the first of the best standing is.</summary>
public enum WorkerStanding
{
    /// <summary>Asked in the plan's order.</summary>
    Healthy,

    /// <summary>Much slower than those that hold the same: asked after them.</summary>
    Demoted,

    /// <summary>Its answers were wrong several times: asked where there is nobody else, since every answer is checked.</summary>
    SetAside,

    /// <summary>It computed something else than two others: not asked at all until it is another process.</summary>
    Distrusted,
}
