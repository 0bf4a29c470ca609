using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Coordinator.Operations;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Coordinator.Session;

/// <summary>A coordinator and its workers.</summary>
public sealed record ClusterSessionOptions
{
    /// <summary>Directory of the model store.</summary>
    public required string StorePath { get; init; }

    /// <summary>Worker processes to start on this machine; 0 computes the experts in this process. Ignored with <see cref="WorkerAddresses"/>.</summary>
    public int Workers { get; init; }

    /// <summary>Addresses of workers that run already, on any machine; empty to start them here.</summary>
    public IReadOnlyList<string> WorkerAddresses { get; init; } = [];

    /// <summary>Opens the state that several coordinators share and in which workers register themselves; null: <see cref="WorkerAddresses"/>, or workers started here.</summary>
    public Func<PlanGeometry, CancellationToken, Task<IMembership>>? OpenMembership { get; init; }

    /// <summary>Workers to wait for before the first plan is made, where they register themselves.</summary>
    public int LeastWorkers { get; init; } = 1;

    /// <summary>How the cluster is changed while it runs.</summary>
    public OperationOptions Operations { get; init; } = new();

    /// <summary>Whether workers run without this coordinator, on this machine or others.</summary>
    public bool HasRemoteWorkers => OpenMembership is not null || WorkerAddresses.Count > 0;

    /// <summary>Workers that hold each bundle; a plan file says it itself.</summary>
    public int Copies { get; init; } = 1;

    /// <summary>What to show to workers that run without this coordinator, and whom to trust; null in clear.</summary>
    public NodeCredentials? Tls { get; init; }

    /// <summary>How experts are dealt to workers.</summary>
    public PlanRequest Plan { get; init; } = PlanRequest.Auto;

    /// <summary>Sequences at a time that <see cref="PlanKind.Auto"/> chooses a plan for.</summary>
    public int ConcurrencyTarget { get; init; } = 1;

    public Precision Precision { get; init; } = Precision.Fast;

    /// <summary>Compute threads of all processes on this machine together; null: one a core.</summary>
    public int? Threads { get; init; }

    /// <summary>Most bytes of weights and KV of all processes on this machine together; null: what the machine has available.</summary>
    public long? MemoryLimit { get; init; }

    /// <summary>Bytes of KV memory; null: enough for one sequence of the model's full length, and for <see cref="LeastKvPositions"/>.</summary>
    public long? KvMemory { get; init; }

    /// <summary>Element type of the KV cache; null: float32 in <see cref="Precision.Exact"/>, bfloat16 in <see cref="Precision.Fast"/>.</summary>
    public KvFormat? KvFormat { get; init; }

    /// <summary>What computes attention and head, and holds the KV cache. Default: the processor.</summary>
    public DeviceChoice Device { get; init; } = DeviceChoice.Cpu;

    /// <summary>Where kernels compiled for a GPU are kept.</summary>
    public string KernelCache { get; init; } = Path.Combine(Path.GetTempPath(), "grok1-kernels");

    /// <summary>Positions that the KV memory must hold at least where <see cref="KvMemory"/> is null.</summary>
    public int LeastKvPositions { get; init; }

    /// <summary>Given the model, and its tokenizer where it has one, before anything is loaded or started; what it throws ends the start.</summary>
    public Action<ModelStore, SentencePieceTokenizer?>? Opened { get; init; }

    /// <summary>Told how much of the weights is in memory; null: nobody.</summary>
    public LoadProgress? Progress { get; init; }

    /// <summary>Micro-batches of a step, 1 to 4; null: by what steps take, and 1 with workers on this machine.</summary>
    public int? PipelineDepth { get; init; }

    /// <summary>How long generation waits for a worker that nobody can stand in for, before it ends with an error. Default 60 s.</summary>
    public TimeSpan LostWorkerTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Of so many calls one is compared with the answer of another worker that holds the same. 0: none. Default 1000.</summary>
    public int CompareEvery { get; init; } = 1000;

    /// <summary>How weights are held in memory.</summary>
    public WeightMemory Weights { get; init; } = new();

    /// <summary>Whether workers on this machine are dealt to its NUMA nodes in turn.</summary>
    public bool SpreadOverNumaNodes { get; init; }

    /// <summary>Executable, and first arguments, that start this program's <c>worker</c> verb.</summary>
    public IReadOnlyList<string> Program { get; init; } = ThisProgram();

    private static string[] ThisProgram()
    {
        var path = Environment.ProcessPath ?? throw new InvalidOperationException("this process has no executable path");
        // Started as "dotnet grok1.dll": the children are started the same way.
        return Path.GetFileNameWithoutExtension(path) == "dotnet" ? [path, Environment.GetCommandLineArgs()[0]] : [path];
    }
}
