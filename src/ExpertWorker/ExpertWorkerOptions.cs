using System.Net;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.ExpertWorker;

/// <summary>One worker process.</summary>
public sealed record ExpertWorkerOptions
{
    /// <summary>Its id in plans.</summary>
    public required string Id { get; init; }

    /// <summary>Directory of the model store, or of this worker's share of it.</summary>
    public required string ModelPath { get; init; }

    /// <summary>Plan that says which tiles to hold; null: all that the store holds, as whole experts or as they were cut.</summary>
    public string? PlanPath { get; init; }

    /// <summary>gRPC address: <c>host:port</c>, port 0 for a free one, or <c>unix:/path</c>.</summary>
    public string Listen { get; init; } = "127.0.0.1:0";

    /// <summary>Compute threads; 0: one a core.</summary>
    public int Threads { get; init; }

    /// <summary>Whether idle compute threads spin for a moment; off where processes times threads exceed the cores.</summary>
    public bool Spin { get; init; }

    /// <summary>Most bytes of weights to hold; null: what the machine has available.</summary>
    public long? MemoryLimit { get; init; }

    /// <summary>What computes.</summary>
    public DeviceChoice Device { get; init; } = DeviceChoice.Cpu;

    /// <summary>Most bytes of a GPU's memory for weights; null: what it has free.</summary>
    public long? DeviceMemoryLimit { get; init; }

    /// <summary>Where compiled GPU kernels are kept.</summary>
    public string KernelCache { get; init; } = Path.Combine(Path.GetTempPath(), "grok1-kernels");

    /// <summary>Port for <c>/metrics</c> and <c>/health</c>, 0 for a free one; null: none.</summary>
    public int? HttpPort { get; init; }

    /// <summary>Address for <see cref="HttpPort"/>.</summary>
    public IPAddress HttpHost { get; init; } = IPAddress.Loopback;

    /// <summary>Told of the bytes of each tile that is in memory, by several threads; null: nobody.</summary>
    public Action<long>? Loaded { get; init; }

    /// <summary>How the tiles are held in memory.</summary>
    public WeightMemory Weights { get; init; } = new();

    /// <summary>Whether every page of the tiles is read before the worker is ready.</summary>
    public bool Preload { get; init; } = true;
}
