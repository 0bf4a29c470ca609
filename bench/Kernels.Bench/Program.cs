using System.Runtime;
using Grok1Cluster.Kernels.Bench;
using Grok1Cluster.Kernels.Threading;

// Kernels against the roofs of the machine they run on, measured in turns so that a busy machine slows both alike:
//   dotnet run -c Release --project bench/Kernels.Bench -- [product|experts|attention|layer STORE] [--threads N]
GCSettings.LatencyMode = GCLatencyMode.SustainedLowLatency;
var threads = Array.IndexOf(args, "--threads") is var at and >= 0 ? int.Parse(args[at + 1]) : Environment.ProcessorCount;
using var pool = new ComputePool(threads, spin: true);
var what = args.FirstOrDefault(arg => arg is "product" or "experts" or "attention" or "layer");
if (what is null or "product")
    ProductBench.Run(pool);
if (what is null or "experts")
    ExpertBench.Run(pool);
if (what is null or "attention")
    AttentionBench.Run(pool);
if (what == "layer")
    LayerBench.Run(pool, args[Array.IndexOf(args, "layer") + 1]);
