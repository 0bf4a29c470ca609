using System.CommandLine;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model.Catalog;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Options;

/// <summary>The cluster that a verb starts.</summary>
/// <param name="Model"><c>demo</c>, a model store, or a directory with a checkpoint.</param>
/// <param name="Workers">Worker processes; 0 computes everything in one process.</param>
/// <param name="WorkerAddresses">Workers that run already, on any machine; then none is started.</param>
/// <param name="Threads">Compute threads of all processes together; null is every core.</param>
/// <param name="MemoryLimitBytes">For all processes together; null is what the machine has.</param>
/// <param name="KvMemoryBytes">For the KV cache; null lets the coordinator choose.</param>
/// <param name="ConcurrencyTarget">Sequences at a time that <c>--plan auto</c> is to be best for.</param>
/// <param name="Weights">How weights are held in memory.</param>
/// <param name="PipelineDepth">Micro-batches of a step; null is what gains most.</param>
/// <param name="LostWorkerTimeout">How long a lost worker is waited for.</param>
/// <param name="SpreadOverNumaNodes">Whether the workers are dealt to the NUMA nodes in turn.</param>
/// <param name="Copies">Workers that hold each bundle.</param>
/// <param name="KvFormat">Element type of the KV cache; null chooses by the precision.</param>
internal sealed record ClusterSettings(
    string Model, int Workers, IReadOnlyList<string> WorkerAddresses, PlanRequest Plan, Precision Precision, int? Threads, long? MemoryLimitBytes, long? KvMemoryBytes,
    int ConcurrencyTarget, WeightMemory Weights, bool SpreadOverNumaNodes, int? PipelineDepth, TimeSpan LostWorkerTimeout, int Copies = 1, KvFormat? KvFormat = null)
{
    /// <summary>What to show to workers on other machines; null in clear.</summary>
    public NodeCredentials? Tls { get; init; }

    /// <summary>What computes attention and head.</summary>
    public DeviceChoice Device { get; init; } = DeviceChoice.Cpu;
}

/// <summary>The cluster flags, the same on every verb that starts a cluster.</summary>
internal sealed class ClusterOptions
{
    private const int MaxWorkers = 1024;
    private const int MaxThreads = 4096;
    private const int MaxConcurrency = 4096;

    private readonly SettingOption<int> _workers;

    private readonly SettingOption<string> _model = ModelOption();

    private readonly SettingOption<string[]?> _workerAddresses = new(
        "--worker-address", "cluster:worker_addresses", TextFormats.Addresses, null, "workers that run already, on any machine (default: start --workers here)");

    private readonly SettingOption<string?> _tls = SecurityFlags.TlsOption("this coordinator's certificate, for workers on other machines (default: in clear)");

    private readonly SettingOption<PlanRequest> _plan = PlanOption();

    private readonly SettingOption<int> _concurrencyTarget = ConcurrencyTargetOption();

    private readonly SettingOption<Precision> _precision = new(
        "--precision", "cluster:precision", TextFormats.Choice<Precision>(), Precision.Fast, "int8 activations, or float32 throughout");

    private readonly SettingOption<int?> _threads = new(
        "--threads", "cluster:threads", TextFormats.Optional(TextFormats.Count(1, MaxThreads)), null, "compute threads of all processes together (default: every core)");

    private readonly SettingOption<long?> _memoryLimit = new(
        "--memory-limit", "cluster:memory_limit", TextFormats.Optional(TextFormats.Bytes), null, "memory of all processes together (default: what the machine has)");

    private readonly SettingOption<long?> _kvMemory = new(
        "--kv-memory", "cluster:kv_memory", TextFormats.Optional(TextFormats.Bytes), null, "memory for the KV cache (default: enough for one full context)");

    private readonly SettingOption<KvFormat?> _kvFormat = new(
        "--kv-format", "cluster:kv_format", TextFormats.KvFormat, null, "element type of the KV cache (default: auto, bf16 in fast, f32 in exact)");

    private readonly SettingOption<DeviceChoice> _device = new(
        "--device", "cluster:device", TextFormats.Device, DeviceChoice.Cpu,
        "what computes attention and head, and holds the KV cache; auto takes a usable GPU, else the CPU (GPU kernels never ran on a GPU yet: docs/cuda.md)");

    private readonly SettingOption<bool> _numaSpread = new(
        "--numa-spread", "cluster:numa_spread", TextFormats.Flag, false, "deal the workers started here to the NUMA nodes in turn");

    private readonly SettingOption<int?> _pipelineDepth = new(
        "--pipeline-depth", "cluster:pipeline_depth", TextFormats.Optional(TextFormats.Count(1, ExpertBatch.MaxSlots)), null,
        "micro-batches of a step that take turns at the experts (default: what gains most; 1 with workers on this machine)");

    private readonly SettingOption<double> _lostWorkerTimeout = new(
        "--lost-worker-timeout", "cluster:lost_worker_timeout", TextFormats.Real(0, 86_400), 60, "seconds that generation waits for a lost worker that no replica stands in for");

    private readonly SettingOption<int> _copies = CopiesOption();

    private readonly MachineOptions _machine = new();

    /// <param name="defaultWorkers">4 for verbs that show a cluster, 0 for those that measure a model.</param>
    public ClusterOptions(int defaultWorkers) => _workers = WorkersOption(min: 0, defaultWorkers);

    public static SettingOption<string> ModelOption(string description = "demo, a model store, or a directory with ckpt-0/") =>
        new("--model", "cluster:model", TextFormats.Text("M"), ModelCatalog.Demo, description);

    public static SettingOption<int> WorkersOption(int min, int defaultWorkers) => new(
        "--workers", "cluster:workers", TextFormats.Count(min, MaxWorkers), defaultWorkers,
        min == 0 ? "worker processes; 0 computes in one process" : "number of workers");

    public static SettingOption<PlanRequest> PlanOption() => new(
        "--plan", "cluster:plan", TextFormats.Plan, PlanRequest.Auto, "how experts are dealt to workers");

    public static SettingOption<int> ConcurrencyTargetOption() => new(
        "--concurrency-target", "cluster:concurrency_target", TextFormats.Count(1, MaxConcurrency), 1, "sequences at a time that --plan auto is to be best for");

    public static SettingOption<int> CopiesOption() => new(
        "--replicas", "cluster:replicas", TextFormats.Count(1, 16), 1, "workers that hold each bundle; with 2, one may be lost and nobody waits");

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _model, _workers, _workerAddresses, _tls, _plan, _concurrencyTarget, _precision, _threads, _memoryLimit, _kvMemory, _kvFormat, _device, _pipelineDepth, _lostWorkerTimeout, _copies, _numaSpread })
            command.Add(option);
        _machine.AddTo(command);
    }

    /// <summary>Reads the flags and binds this process to the CPUs that they name.</summary>
    /// <param name="registered">Whether the workers are found by etcd.</param>
    /// <param name="servesWeights">Whether weights are served, which is over TLS where there is a certificate.</param>
    /// <exception cref="UsageException">A flag would do nothing beside the others.</exception>
    public ClusterSettings Read(VerbContext context, bool registered = false, bool servesWeights = false)
    {
        var workers = context.Get(_workers);
        var named = context.Get(_workerAddresses) is [_, ..];
        context.RefuseIdle(named && workers > 0, "no worker is started beside those of --worker-address; leave one of the two out", _workers);
        context.RefuseIdle(!named && !registered && workers == 0, "there is no worker, the experts are computed in this process; give --workers or --worker-address",
            _plan, _copies, _concurrencyTarget, _lostWorkerTimeout);
        context.RefuseIdle(named || registered || workers == 0, "it is for workers that are started here, and none is", _numaSpread);
        context.RefuseIdle(context.Get(_plan).Kind == PlanKind.File, "the plan file says which workers hold what; leave it out, or the file", _copies);
        context.RefuseIdle(!named && !registered && !servesWeights, "it is for workers on other machines, and none is named; the HTTP API has no TLS of its own (docs/security.md)", _tls);
        _machine.Bind(context);
        return new ClusterSettings(
            context.Get(_model), workers, context.Get(_workerAddresses) ?? [], context.Get(_plan), context.Get(_precision),
            context.Get(_threads), context.Get(_memoryLimit), context.Get(_kvMemory), context.Get(_concurrencyTarget), _machine.Weights(context), context.Get(_numaSpread), context.Get(_pipelineDepth), TimeSpan.FromSeconds(context.Get(_lostWorkerTimeout)),
            context.Get(_copies), context.Get(_kvFormat))
        {
            Tls = SecurityFlags.Open(context, _tls, NodeRole.Coordinator),
            Device = context.Get(_device),
        };
    }
}
