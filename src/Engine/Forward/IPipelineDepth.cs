namespace Grok1Cluster.Engine.Forward;

/// <summary>Chooses in how many micro-batches a step goes to the experts, from what steps took.</summary>
public interface IPipelineDepth
{
    /// <summary>Micro-batches for a step of some rows, at least 1.</summary>
    int For(int rows);

    /// <summary>The coordinator's part of a layer took this long for a micro-batch of some rows.</summary>
    void Computed(int rows, TimeSpan elapsed);
}
