using System.Diagnostics;
using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Driver;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>Experts of Grok-1's own geometry, whole calls as a worker makes them: rows from host memory to sums in host memory.</summary>
internal static unsafe class ExpertBench
{
    private const int EmbeddingDim = 6144, FeedForwardDim = 32768, PrefillTokens = 2048, PrefillExperts = 8;
    private const int LeastTurns = 10;
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(1);

    public static IEnumerable<WeightFormat> Formats(string? name) => name switch
    {
        null => [WeightFormat.Int8, WeightFormat.Int4],
        "int8" => [WeightFormat.Int8],
        "int4" => [WeightFormat.Int4],
        _ => throw new CudaException($"--weights {name}: int8 or int4"),
    };

    public static void Run(CudaDevice device, ComputePool pool, CardRoofs roofs, WeightFormat format, bool decode, bool prefill)
    {
        if (!decode && !prefill)
            return;
        var experts = prefill ? PrefillExperts : 2;
        using var random = new RandomExperts(format, EmbeddingDim, FeedForwardDim, experts);
        using var weights = new CudaExpertWeights(device, random.Store.ExpertLayout, random.Tiles, limit: null);
        if (weights.Resident.Count < experts)
            throw new CudaException($"{experts} experts do not fit into the free memory of {device.Name}");
        var start = Stopwatch.GetTimestamp();
        weights.Load(null, CancellationToken.None);
        Console.WriteLine($"{format}: {weights.Bytes / 1e9:F2} GB to the device in {Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s");
        using var feedForward = new CudaExpertFeedForward(weights, new CpuExpertFeedForward(pool, random.Store.ExpertLayout, ActivationFormat.Int8Blocks), ActivationFormat.Int8Blocks);
        if (decode)
            foreach (var tokens in (int[])[1, 2, 4, 8, 16, 32])
                Report(random, feedForward, roofs, format, tokens, 2);
        if (prefill)
            Report(random, feedForward, roofs, format, PrefillTokens, PrefillExperts);
    }

    private static void Report(RandomExperts random, CudaExpertFeedForward feedForward, CardRoofs roofs, WeightFormat format, int tokens, int experts)
    {
        // A token takes two experts: of 2 both, of 8 in turns, so that every expert has a quarter of the tokens.
        var layout = random.Store.ExpertLayout;
        var (rows, work) = (new List<int>(), new List<TileWork>());
        for (var e = 0; e < experts; e++)
        {
            var first = rows.Count;
            rows.AddRange(Enumerable.Range(0, tokens).Where(token => experts == 2 || token % experts == e || (token + 1) % experts == e));
            work.Add(new TileWork(random.Tiles[e], first, rows.Count - first));
        }
        float[] gates = [.. rows.Select(_ => 0.5f)];
        int[] rowArray = [.. rows];
        TileWork[] items = [.. work];
        using var x = random.Rows(tokens, ActivationFormat.Int8Blocks, tokens);
        using var sum = new NativeBuffer<float>((long)tokens * layout.Columns);
        var best = double.MaxValue;
        double? kernels = null;
        var begin = Stopwatch.GetTimestamp();
        feedForward.Accumulate(items, x, rowArray, gates, sum.Pointer);
        for (var turn = 0; turn < LeastTurns || Stopwatch.GetElapsedTime(begin) < Budget; turn++)
        {
            var start = Stopwatch.GetTimestamp();
            feedForward.Accumulate(items, x, rowArray, gates, sum.Pointer);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
            kernels = feedForward.KernelTime is { } time ? Math.Min(kernels ?? double.MaxValue, time.TotalSeconds) : null;
        }
        var bytes = items.Sum(item => item.Tile.Bytes) / best;
        // Copies of many rows take as long as their products; a worker that waits for its calls pays them, the kernels do not.
        var operations = 2.0 * 3 * layout.Columns * layout.FeedForwardDim * rows.Count / (kernels ?? best);
        Console.WriteLine($"{format} {tokens,5} tokens, {experts} experts  {best * 1e3,9:F3} ms  {bytes / 1e9,7:F0} GB/s = {bytes / roofs.CopyBytesPerSecond,4:P0} of the copy  {operations / 1e12,7:F1} Tflop/s{(kernels is { } seconds ? $" (kernels alone, {seconds * 1e3:F3} ms)" : "")}"
            + (roofs.MatrixOperationsPerSecond is { } matrix ? $" = {operations / matrix,4:P0} of the bf16 product" : ""));
    }
}
