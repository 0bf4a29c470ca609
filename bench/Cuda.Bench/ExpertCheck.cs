using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>Every expert kernel on the device against its twin on the CPU: the bits, and where those differ by how much.</summary>
internal static unsafe class ExpertCheck
{
    // As in the tests on the emulator.
    private static readonly (int Embedding, int FeedForward)[] Small = [(176, 88), (256, 256), (72, 144)];

    // Of Grok-1's own width.
    private static readonly (int Embedding, int FeedForward) Wide = (6144, 2048);

    private static readonly int[] Batches = [1, 2, 4, 7, 8, 9, 16, 17, 31, 32, 33, 64, 65, 200];

    /// <summary>What a fused multiply-add more or less may do to a sum, relative to its RMS: what is larger is an error.</summary>
    private const double Tolerance = 1e-5;

    /// <returns>Whether nothing is wrong: bits that differ by rounding are told and do not count.</returns>
    public static bool Run(IKernelDevice device, ComputePool pool, bool smallOnly)
    {
        var good = true;
        foreach (var weights in (WeightFormat[])[WeightFormat.Int8, WeightFormat.Int4])
            foreach (var activations in (ActivationFormat[])[ActivationFormat.Int8Blocks, ActivationFormat.Float32])
                foreach (var (embedding, feedForward) in smallOnly ? Small : [.. Small, Wide])
                {
                    using var experts = new RandomExperts(weights, embedding, feedForward, 4);
                    using var resident = new CudaExpertWeights(device, experts.Store.ExpertLayout, experts.Tiles, limit: null);
                    resident.Load(null, CancellationToken.None);
                    using var gpu = new CudaExpertFeedForward(resident, new CpuExpertFeedForward(pool, experts.Store.ExpertLayout, activations), activations);
                    using var cpu = new CpuExpertFeedForward(pool, experts.Store.ExpertLayout, activations);
                    var difference = new Difference();
                    foreach (var rows in Batches)
                        for (var repeat = 0; repeat < 2; repeat++)
                            Compare(difference, experts, gpu, cpu, activations, rows);
                    good &= difference.Report($"{weights} weights, {activations} activations, {embedding} x {feedForward}", Tolerance);
                }
        return good;
    }

    private static void Compare(Difference difference, RandomExperts experts, IExpertFeedForward gpu, IExpertFeedForward cpu, ActivationFormat format, int rowCount)
    {
        using var x = experts.Rows(rowCount, format, rowCount);
        var (rows, gates, work) = (new List<int>(), new List<float>(), new List<TileWork>());
        for (var e = 0; e < experts.Tiles.Count; e++)
        {
            var first = rows.Count;
            for (var row = 0; row < rowCount; row++)
                if (rowCount == 1 || (row + e) % experts.Tiles.Count != 0)
                {
                    rows.Add(row);
                    gates.Add(0.1f + 0.8f * ((row * 7 + e * 3) % 11) / 11);
                }
            if (rows.Count > first)
                work.Add(new TileWork(experts.Tiles[e], first, rows.Count - first));
        }
        var (expected, actual) = (new float[rowCount * experts.Store.ExpertLayout.Columns], new float[rowCount * experts.Store.ExpertLayout.Columns]);
        fixed (float* e = expected, a = actual)
        {
            cpu.Accumulate([.. work], x, [.. rows], [.. gates], e);
            gpu.Accumulate([.. work], x, [.. rows], [.. gates], a);
        }
        difference.Add(expected, actual);
    }
}
