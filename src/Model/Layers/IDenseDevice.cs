using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>Where the coordinator computes what is not experts: attention with its KV memory, router and head.</summary>
public interface IDenseDevice : IDisposable
{
    /// <summary>What it is, for people.</summary>
    string Description { get; }

    /// <summary>Bytes of one KV block: keys and values of 32 positions in all layers.</summary>
    long KvBlockBytes { get; }

    /// <summary>Checks that weights and KV memory fit on the device, before anything is copied there.</summary>
    /// <param name="layout">Of the coordinator's tensors.</param>
    /// <param name="kvBytes">KV memory.</param>
    /// <returns>Bytes of KV memory that the host has to have.</returns>
    /// <exception cref="ResourceException">They do not fit.</exception>
    long Place(DenseLayout layout, long kvBytes);

    /// <summary>Every layer and the head; owned by the caller, disposed before this device.</summary>
    /// <param name="weights">In memory; not disposed.</param>
    /// <param name="experts">Of the experts, whose input the router's rows become.</param>
    IDenseLayers CreateLayers(DenseWeights weights, ExpertLayout experts);
}
