using Grok1Cluster.Cuda.Bench;
using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Driver;
using Grok1Cluster.Kernels.Threading;

// Kernels on a GPU: whether they compute what the CPU's compute, and how near they come to the card's own rates.
//   Grok1Cluster.Cuda.Bench [check|small] [roofs] [experts] [prefill] [layer] [--device N] [--weights int8|int4]
// Without a word: check, roofs, experts, prefill and layer (attention, router and head); small is check without Grok-1's own width. Ends with 1 when a check fails, with 4 without a usable GPU.
string[] words = ["check", "small", "roofs", "experts", "prefill", "layer"];
var asked = args.Where(words.Contains).ToList();
bool Wants(string word) => asked.Count == 0 || asked.Contains(word);
string? After(string flag) => Array.IndexOf(args, flag) is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : null;

try
{
    if (CudaSystem.Missing() is { } missing)
        throw new CudaException(missing);
    using var device = CudaDevice.Open(int.Parse(After("--device") ?? "0"), Path.Combine(Path.GetTempPath(), "grok1-kernels"));
    using var pool = new ComputePool(Environment.ProcessorCount, spin: false);
    Console.WriteLine($"{device.Name}, compute capability {device.Info.Architecture / 10}.{device.Info.Architecture % 10}, {device.Info.Multiprocessors} multiprocessors, "
        + $"{device.TotalMemory / 1e9:F1} GB; driver for CUDA {CudaSystem.DriverVersion}, NVRTC {CudaSystem.CompilerVersion}");
    var good = true;
    if (Wants("check") || Wants("small"))
        good = ExpertCheck.Run(device, pool, smallOnly: !Wants("check")) & LayerCheck.Run(device, pool, smallOnly: !Wants("check"));
    if (Wants("roofs") || Wants("experts") || Wants("prefill") || Wants("layer"))
    {
        var roofs = CardRoofs.Measure(device);
        foreach (var format in ExpertBench.Formats(After("--weights")))
            ExpertBench.Run(device, pool, roofs, format, Wants("experts"), Wants("prefill"));
        if (Wants("layer"))
            LayerBench.Run(device, pool, roofs);
    }
    return good ? 0 : 1;
}
catch (CudaException e)
{
    Console.Error.WriteLine($"error: {e.Message}");
    return 4;
}
