using System.Net;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.ExpertWorker.Faults;
using Grok1Cluster.Model.Catalog;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Weights.Cache;

namespace Grok1Cluster.ExpertWorker;

/// <summary>One worker process.</summary>
public sealed record ExpertWorkerOptions
{
    /// <summary>Its id in plans.</summary>
    public required string Id { get; init; }

    /// <summary>Directory of the model store, or of this worker's share of it; not looked at where there are <see cref="Sources"/>.</summary>
    public string ModelPath { get; init; } = "";

    /// <summary>gRPC addresses of coordinators and workers that say what the model is and have its weights; empty for a worker with a store.</summary>
    public IReadOnlyCollection<string> Sources { get; init; } = [];

    /// <summary>Where weights from other machines are kept.</summary>
    public WeightCacheOptions Cache { get; init; } = new() { Root = Path.Combine(ModelPlaces.FromEnvironment().Cache, "weights") };

    /// <summary>Most bytes a second to take from <see cref="Sources"/> at the start; 0: no limit. A coordinator says its own.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>Follows what is fetched at the start, in bytes.</summary>
    public IProgress<StoreProgress>? Fetched { get; init; }

    /// <summary>Told in a line of what goes on beside calls.</summary>
    public Action<string> Note { get; init; } = _ => { };

    /// <summary>Plan that says which tiles to hold; null: all that the store holds, as whole experts or as they were cut, and with <see cref="Sources"/> nothing.</summary>
    public string? PlanPath { get; init; }

    /// <summary>Whether to hold nothing until a coordinator asks for it.</summary>
    public bool HoldNothing { get; init; }

    /// <summary>gRPC address: <c>host:port</c>, port 0 for a free one, or <c>unix:/path</c>.</summary>
    public string Listen { get; init; } = "127.0.0.1:0";

    /// <summary>Its certificate and the CAs that it trusts: every client then needs a certificate, and may do what its role may. Null: in clear, for everybody.</summary>
    public NodeCredentials? Tls { get; init; }

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

    /// <summary>Told when what takes long is done, and nobody can have called yet.</summary>
    public Action Prepared { get; init; } = () => { };

    /// <summary>How the tiles are held in memory.</summary>
    public WeightMemory Weights { get; init; } = new();

    /// <summary>Whether every page of the tiles is read before the worker is ready.</summary>
    public bool Preload { get; init; } = true;

    /// <summary>Whether the tiles' hashes are checked when they are loaded; only with <see cref="Preload"/>.</summary>
    public bool Verify { get; init; } = true;

    /// <summary>What to do wrong, for tests and drills. Default nothing.</summary>
    public IReadOnlyList<FaultRule> Faults { get; init; } = [];

    /// <summary>Decides which calls a fault with a chance meets.</summary>
    public int FaultSeed { get; init; } = 1;
}
