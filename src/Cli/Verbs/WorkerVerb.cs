using System.CommandLine;
using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Coordinator.Local;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.ExpertWorker.Faults;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Catalog;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Weights.Cache;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>One worker process, until a signal or, when it is supervised, until its parent closes its standard input.</summary>
internal static class WorkerVerb
{
    /// <summary>Most time for the calls that a worker still has when it is told to end.</summary>
    private static readonly TimeSpan LeaveTime = TimeSpan.FromSeconds(20);

    /// <summary>The same for a worker with a parent, which kills it a little later.</summary>
    private static readonly TimeSpan SupervisedLeaveTime = TimeSpan.FromSeconds(4);

    public static Command Create()
    {
        var model = ClusterOptions.ModelOption();
        var id = new SettingOption<string>("--id", "worker:id", TextFormats.WorkerId, "worker-0", "this worker's id in the plan");
        var plan = new Option<FileInfo?>("--plan") { Description = "hold what this plan gives to the id (default: all that the store holds, with --from nothing)", HelpName = "FILE" };
        var hold = new SettingOption<string>("--hold", "worker:hold", TextFormats.OneOf("all", "none"), "all", "hold the share at once, or nothing until a coordinator asks for it");
        var from = new SettingOption<string[]?>("--from", "worker:from", TextFormats.Addresses, null, "without a model on this machine: coordinators and workers that have it");
        var cache = new SettingOption<string?>("--cache", "worker:cache", TextFormats.OptionalText("DIR"), null, "where weights from other machines are kept (default: weights in the user's cache of grok1)");
        var cacheLimit = new SettingOption<long?>("--cache-limit", "worker:cache_limit", TextFormats.Optional(TextFormats.Bytes), null, "most disk for all models there; the least recently used goes first (default: no limit)");
        var fetchRate = new SettingOption<long?>("--fetch-rate", "worker:fetch_rate", TextFormats.Optional(TextFormats.Bytes), null, "with --from and --plan: most bytes a second (default: no limit)");
        var listen = new SettingOption<string>("--listen", "worker:listen", TextFormats.Text("HOST:PORT|unix:/PATH"), "127.0.0.1:9050", "gRPC address; 0.0.0.0:9050 for other machines, which needs --tls");
        var tls = SecurityFlags.TlsOption("this worker's certificate; clients then need one of the same cluster (default: in clear)");
        var insecure = SecurityFlags.InsecureOption();
        var threads = new SettingOption<int?>("--threads", "worker:threads", TextFormats.Optional(TextFormats.Count(1, 4096)), null, "compute threads (default: every core)");
        var memory = new SettingOption<long?>("--memory-limit", "worker:memory_limit", TextFormats.Optional(TextFormats.Bytes), null, "memory for weights (default: what the machine has)");
        var httpPort = new SettingOption<int?>("--http-port", "worker:http_port", TextFormats.Optional(TextFormats.Count(0, 65535)), null, "port for /metrics and /health; 0 takes a free one (default: none)");
        var httpHost = new SettingOption<string>("--http-host", "worker:http_host", TextFormats.Text("IP"), "127.0.0.1", "address for --http-port");
        var device = new SettingOption<DeviceChoice>("--device", "worker:device", TextFormats.Device, DeviceChoice.Cpu, "what computes; auto takes a usable GPU, else the CPU (GPU kernels never ran on a GPU yet: docs/cuda.md)");
        var deviceMemory = new SettingOption<long?>("--device-memory", "worker:device_memory", TextFormats.Optional(TextFormats.Bytes), null, "GPU memory for weights; what does not fit stays on the CPU (default: what is free)");
        var noPreload = new Option<bool>("--no-preload") { Description = "be ready before every page of the weights was read" };
        var noVerify = new Option<bool>("--no-verify") { Description = "do not check the weights' hashes while they are loaded" };
        var faults = new SettingOption<FaultRule[]?>("--fault", "worker:fault", Faults, null, "TEST ONLY, do this wrong: " + FaultText.Grammar) { Separator = "+" };
        var faultSeed = new SettingOption<int>("--fault-seed", "worker:fault_seed", TextFormats.Count(0), 1, "decides which calls a --fault with a chance meets");
        var machine = new MachineOptions();
        var membership = new MembershipOptions("coordinators", "--listen");
        var supervised = new Option<bool>("--supervised") { Hidden = true };
        var verb = new Verb("worker", "Hold experts and compute them for coordinators.",
            "grok1 worker --model /data/grok-1-share --id worker-3 --listen 0.0.0.0:9050 --tls /etc/grok1",
            "grok1 worker --model demo --plan plan.json --id worker-0",
            "grok1 worker --model /data/grok-1-share --id worker-3 --listen 0.0.0.0:9050 --tls /etc/grok1 --etcd 10.0.0.1:2379 --advertise 10.0.0.13:9050",
            "grok1 worker --from node0:9050,node1:9050 --id worker-8 --listen 0.0.0.0:9050 --tls /etc/grok1",
            "grok1 worker --model demo --fault delay=10x,after=500+corrupt,every=100") { model, id, plan, hold, from, cache, cacheLimit, fetchRate, listen, tls, insecure, threads, memory, device, deviceMemory, httpPort, httpHost, noPreload, noVerify, faults, faultSeed, supervised };
        machine.AddTo(verb);
        membership.AddTo(verb, coordinator: false);
        verb.Runs(async (context, signals) =>
        {
            // From the first moment: a parent that is gone waits for no weights.
            var parent = context.Get(supervised) ? ParentWatch.Start() : null;
            using var ending = CancellationTokenSource.CreateLinkedTokenSource(signals, parent?.Gone ?? default);
            var cancellation = ending.Token;
            if (!IPAddress.TryParse(context.Get(httpHost), out var host))
                throw new UsageException($"--http-host: '{context.Get(httpHost)}' is not an IP address");
            var sources = context.Get(from) ?? [];
            if (sources.Length > 0 && context.IsGiven(model))
                throw new UsageException("--from is for a worker without a model; leave out --model");
            context.RefuseIdle(context.Get(hold) == "none", "with --hold none this worker holds nothing until a coordinator asks; leave one of the two out", plan);
            context.RefuseIdle(sources.Length == 0 || context.Get(plan) is null, "it is for what --from and --plan have this worker fetch at its start; a coordinator says its own limit (--transfer-limit)", fetchRate);
            context.RefuseIdle(context.Get(httpPort) is null, "it goes with --http-port, which is missing", httpHost);
            context.RefuseIdle(context.Get(faults) is null or [], "it goes with --fault, which is missing", faultSeed);
            context.RefuseIdle(context.Get(device) == DeviceChoice.Cpu, "the experts are computed by the CPU; give --device cuda:0 or auto", deviceMemory);
            membership.RefuseIdle(context);
            // Its parent reaches it on this machine alone; settings of the environment are the parent's.
            var credentials = context.Get(supervised) ? null : SecurityFlags.OpenForListening(context, context.Get(listen), tls, insecure, new NodeIdentity(NodeRole.Worker, context.Get(id)));
            machine.Bind(context);
            // Whoever started a supervised worker knows it.
            var registrar = context.Get(supervised) ? null : membership.ForWorker(context, context.Get(listen), context.Get(tls));
            using var lost = new DeviceLoss("worker");
            var isReady = false;
            try
            {
                if (registrar is not null)
                    await registrar.CheckAsync(context.Get(id), cancellation);
                await using var worker = await StartAsync();
                await using var registered = registrar is null ? null : await registrar.RegisterAsync(worker, cancellation);
                isReady = true;
                if (worker.Faults is { } wrong)
                    context.Output.Warn($"FAULT INJECTION: worker {context.Get(id)} does wrong what --fault says: {wrong}");
                if (parent is not null)
                    await ServeParentAsync(context.Get(id), worker, parent, lost.Token);
                else
                    await ServeAsync(context, context.Get(id), worker, registered, lost.Token, cancellation);
            }
            catch (OperationCanceledException) when (!isReady && cancellation.IsCancellationRequested)
            {
                // What was fetched so far stays.
                context.Output.Note($"worker {context.Get(id)} ends before it was ready");
            }
            lost.ThrowIfLost();
            return ExitCodes.Ok;

            async Task<ExpertWorkerHost> StartAsync()
            {
                using var fetching = new StoreProgressBar("fetch", context.Output);
                return await ExpertWorkerHost.StartAsync(new ExpertWorkerOptions
                {
                    Id = context.Get(id),
                    ModelPath = sources.Length > 0 ? "" : context.FindStore(context.Get(model), cancellation),
                    Sources = sources,
                    Cache = new WeightCacheOptions { Root = Path.GetFullPath(context.Get(cache) ?? Path.Combine(ModelPlaces.FromEnvironment().Cache, "weights")), Limit = context.Get(cacheLimit) },
                    BytesPerSecond = context.Get(fetchRate) ?? 0,
                    Fetched = fetching,
                    Note = context.Output.Note,
                    PlanPath = context.Get(plan)?.FullName,
                    HoldNothing = context.Get(hold) == "none",
                    Listen = context.Get(listen),
                    Tls = credentials,
                    Threads = context.Get(threads) ?? 0,
                    MemoryLimit = context.Get(memory),
                    Device = context.Get(device),
                    DeviceMemoryLimit = context.Get(deviceMemory),
                    KernelCache = Path.Combine(ModelPlaces.FromEnvironment().Cache, "kernels"),
                    Weights = machine.Weights(context),
                    Preload = !context.Get(noPreload),
                    Verify = !context.Get(noVerify),
                    Faults = context.Get(faults) ?? [],
                    FaultSeed = context.Get(faultSeed),
                    // A supervised worker shares its machine with others and their coordinator.
                    Spin = !context.Get(supervised),
                    Loaded = context.Get(supervised) ? new LoadedLines().Add : null,
                    HttpPort = context.Get(httpPort),
                    HttpHost = host,
                }, fault =>
                {
                    context.Output.Note($"a call failed: {fault}");
                    lost.Notice(fault);
                }, cancellation);
            }
        });
        return verb;
    }

    private static TextFormat<FaultRule[]?> Faults { get; } = new("FAULT", "a fault such as " + FaultText.Grammar, FaultText.TryParse);

    private static async Task ServeAsync(VerbContext context, string id, ExpertWorkerHost host, RegisteredWorker? registered, CancellationToken lost, CancellationToken cancellation)
    {
        if (host.HttpUrl is { } url)
            context.Output.Note($"worker {id}: metrics on {url}/metrics");
        if (host.CacheBytes > 0)
            context.Output.Note($"worker {id}: {ByteSize.Format(host.CacheBytes)} of this model in {host.CacheDirectory}");
        context.Output.Note($"worker {id} (process {Environment.ProcessId}) holds {host.TileCount} tiles, {ByteSize.Format(host.Bytes)} ({host.Device}), and listens on {host.Address}");
        using var end = CancellationTokenSource.CreateLinkedTokenSource(lost, cancellation);
        await Task.WhenAny(Task.Delay(Timeout.Infinite, end.Token), host.LeaveRequested);
        registered?.Leave();
        await LeaveAsync(host, LeaveTime);
        context.Output.Note($"worker {id} ends");
    }

    /// <summary>Ctrl-C reaches the whole process group; the parent decides when this worker ends, by closing the pipe or by dying.</summary>
    private static async Task ServeParentAsync(string id, ExpertWorkerHost host, ParentWatch parent, CancellationToken lost)
    {
        var ready = new WorkerReady(id, Environment.ProcessId, host.Address.ToString(), host.TileCount, host.Bytes);
        Console.Out.WriteLine(JsonSerializer.Serialize(ready, JsonSerializerOptions.Web));
        var terminated = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var signal = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => terminated.TrySetResult());
        using var loss = lost.Register(() => terminated.TrySetResult());
        using var gone = parent.Gone.Register(() => terminated.TrySetResult());
        await Task.WhenAny(terminated.Task, host.LeaveRequested);
        await LeaveAsync(host, SupervisedLeaveTime);
    }

    /// <summary>Whoever does not read its answers is not waited for.</summary>
    private static async Task LeaveAsync(ExpertWorkerHost host, TimeSpan most)
    {
        using var limit = new CancellationTokenSource(most);
        await host.LeaveAsync(limit.Token);
    }

    /// <summary>Tells the parent how much is in memory: a line for every so many bytes.</summary>
    private sealed class LoadedLines
    {
        private const long LineBytes = 64 << 20;

        private readonly Lock _lock = new();
        private long _untold;

        public void Add(long bytes)
        {
            lock (_lock)
            {
                _untold += bytes;
                if (_untold < LineBytes)
                    return;
                Console.Out.WriteLine(JsonSerializer.Serialize(new WorkerLoaded(_untold), JsonSerializerOptions.Web));
                _untold = 0;
            }
        }
    }
}
