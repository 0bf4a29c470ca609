using System.CommandLine;
using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Coordinator.Local;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Model.Catalog;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>One worker process, until a signal or, when it is supervised, until its parent closes its standard input.</summary>
internal static class WorkerVerb
{
    public static Command Create()
    {
        var model = ClusterOptions.ModelOption();
        var id = new SettingOption<string>("--id", "worker:id", TextFormats.Text("ID"), "worker-0", "this worker's id in the plan");
        var plan = new Option<FileInfo?>("--plan") { Description = "hold what this plan gives to the id (default: all that the store holds)", HelpName = "FILE" };
        var listen = new SettingOption<string>("--listen", "worker:listen", TextFormats.Text("HOST:PORT|unix:/PATH"), "127.0.0.1:9050", "gRPC address; 0.0.0.0:9050 for other machines");
        var threads = new SettingOption<int?>("--threads", "worker:threads", TextFormats.Optional(TextFormats.Count(1, 4096)), null, "compute threads (default: every core)");
        var memory = new SettingOption<long?>("--memory-limit", "worker:memory_limit", TextFormats.Optional(TextFormats.Bytes), null, "memory for weights (default: what the machine has)");
        var httpPort = new SettingOption<int?>("--http-port", "worker:http_port", TextFormats.Optional(TextFormats.Count(0, 65535)), null, "port for /metrics and /health; 0 takes a free one (default: none)");
        var httpHost = new SettingOption<string>("--http-host", "worker:http_host", TextFormats.Text("IP"), "127.0.0.1", "address for --http-port");
        var device = new SettingOption<DeviceChoice>("--device", "worker:device", TextFormats.Device, DeviceChoice.Cpu, "what computes; auto takes a usable GPU, else the CPU (GPU kernels never ran on a GPU yet: docs/cuda.md)");
        var deviceMemory = new SettingOption<long?>("--device-memory", "worker:device_memory", TextFormats.Optional(TextFormats.Bytes), null, "GPU memory for weights; what does not fit stays on the CPU (default: what is free)");
        var noPreload = new Option<bool>("--no-preload") { Description = "be ready before every page of the weights was read" };
        var machine = new MachineOptions();
        var supervised = new Option<bool>("--supervised") { Hidden = true };
        var verb = new Verb("worker", "Hold experts and compute them for coordinators.",
            "grok1 worker --model /data/grok-1-share --id worker-3 --listen 0.0.0.0:9050",
            "grok1 worker --model demo --plan plan.json --id worker-0") { model, id, plan, listen, threads, memory, device, deviceMemory, httpPort, httpHost, noPreload, supervised };
        machine.AddTo(verb);
        verb.Runs(async (context, cancellation) =>
        {
            if (!IPAddress.TryParse(context.Get(httpHost), out var host))
                throw new UsageException($"--http-host: '{context.Get(httpHost)}' is not an IP address");
            machine.Bind(context);
            using var lost = new DeviceLoss();
            var started = ExpertWorkerHost.StartAsync(new ExpertWorkerOptions
            {
                Id = context.Get(id),
                ModelPath = context.FindStore(context.Get(model), cancellation),
                PlanPath = context.Get(plan)?.FullName,
                Listen = context.Get(listen),
                Threads = context.Get(threads) ?? 0,
                MemoryLimit = context.Get(memory),
                Device = context.Get(device),
                DeviceMemoryLimit = context.Get(deviceMemory),
                KernelCache = Path.Combine(ModelPlaces.FromEnvironment().Cache, "kernels"),
                Weights = machine.Weights(context),
                Preload = !context.Get(noPreload),
                Loaded = context.Get(supervised) ? new LoadedLines().Add : null,
                HttpPort = context.Get(httpPort),
                HttpHost = host,
            }, fault =>
            {
                context.Output.Note($"a call failed: {fault}");
                lost.Notice(fault);
            }, cancellation);
            await using var worker = await started;
            if (context.Get(supervised))
                await ServeParentAsync(context.Get(id), worker, lost.Token);
            else
                await ServeAsync(context, context.Get(id), worker, lost.Token, cancellation);
            lost.ThrowIfLost();
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static async Task ServeAsync(VerbContext context, string id, ExpertWorkerHost host, CancellationToken lost, CancellationToken cancellation)
    {
        if (host.HttpUrl is { } url)
            context.Output.Note($"worker {id}: metrics on {url}/metrics");
        context.Output.Note($"worker {id} (process {Environment.ProcessId}) holds {host.TileCount} tiles, {ByteSize.Format(host.Bytes)} ({host.Device}), and listens on {host.Address}");
        using var end = CancellationTokenSource.CreateLinkedTokenSource(lost, cancellation);
        await Task.Delay(Timeout.Infinite, end.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        context.Output.Note($"worker {id} ends");
    }

    /// <summary>Ctrl-C reaches the whole process group; the parent decides when this worker ends, by closing the pipe or by dying.</summary>
    private static async Task ServeParentAsync(string id, ExpertWorkerHost host, CancellationToken lost)
    {
        var ready = new WorkerReady(id, Environment.ProcessId, host.Address.ToString(), host.TileCount, host.Bytes);
        Console.Out.WriteLine(JsonSerializer.Serialize(ready, JsonSerializerOptions.Web));
        var terminated = new TaskCompletionSource();
        using var signal = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => terminated.TrySetResult());
        using var loss = lost.Register(() => terminated.TrySetResult());
        await using var input = Console.OpenStandardInput();
        var closed = Task.Run(async () =>
        {
            var buffer = new byte[64];
            while (await input.ReadAsync(buffer) > 0)
            {
            }
        });
        await Task.WhenAny(closed, terminated.Task);
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
