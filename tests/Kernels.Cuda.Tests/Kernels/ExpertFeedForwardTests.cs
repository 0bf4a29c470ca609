using Grok1Cluster.Kernels.Cuda.Tests.Emulator;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;

namespace Grok1Cluster.Kernels.Cuda.Tests.Kernels;

/// <summary>The expert kernels, emulated, against the CPU's: the same bits.</summary>
public sealed unsafe class ExpertFeedForwardTests
{
    // Geometries: blocks of 22 rows cut by the 8 weight groups; whole blocks of 128 rows; a last expert block and a last panel
    // that are not full.
    private static readonly (int Embedding, int FeedForward)[] Geometries = [(176, 88), (256, 256), (72, 144)];

    public static TheoryData<WeightFormat, ActivationFormat, int, int> Calls()
    {
        var data = new TheoryData<WeightFormat, ActivationFormat, int, int>();
        foreach (var weights in (WeightFormat[])[WeightFormat.Int8, WeightFormat.Int4])
            foreach (var activations in (ActivationFormat[])[ActivationFormat.Int8Blocks, ActivationFormat.Float32])
                for (var geometry = 0; geometry < Geometries.Length; geometry++)
                    foreach (var order in (int[])[0, 1])
                        data.Add(weights, activations, geometry, order);
        return data;
    }

    [EmulatedTheory]
    [MemberData(nameof(Calls))]
    public void Every_batch_size_has_the_bits_of_the_CPU(WeightFormat weights, ActivationFormat activations, int geometry, int order)
    {
        using var lab = new Lab(weights, activations, Geometries[geometry].Embedding, Geometries[geometry].FeedForward, order);
        lab.Hold(lab.Experts.Tile(0), lab.Experts.Tile(1), lab.Experts.Tile(3));
        foreach (var rows in (int[])[1, 2, 7, 8, 9, 16, 17, 32, 33, 70])
            lab.CompareWithCpu(rows, [0, 1, 3]);
    }

    [EmulatedTheory]
    [InlineData(0)]
    [InlineData(2)]
    public void Rows_with_outliers_and_hidden_rows_with_outliers_have_the_bits_of_the_CPU(int order)
    {
        // Blocks of 50 and fewer over the input, of 64 over the hidden axis.
        using var lab = new Lab(WeightFormat.Int8, ActivationFormat.Int8Blocks, 400, 1024, order);
        lab.Hold(lab.Experts.Tile(0), lab.Experts.Tile(1), lab.Experts.Tile(3));
        foreach (var rows in (int[])[2, 9, 30, 70])
            lab.CompareWithCpu(rows, [0, 1, 3]);
    }

    [EmulatedFact]
    public void Slices_of_a_tile_that_is_held_whole_have_the_bits_of_the_CPU()
    {
        using var lab = new Lab(WeightFormat.Int8, ActivationFormat.Int8Blocks, 176, 176, order: 2);
        lab.Hold(lab.Experts.Tile(0), lab.Experts.Tile(2));
        var x = lab.Experts.Rows(3, ActivationFormat.Int8Blocks, 1);
        int[] rows = [0, 1, 2, 2, 0];
        float[] gates = [0.5f, 0.25f, 0.125f, 0.3f, 0.7f];
        var (whole, part) = (lab.Experts.Tile(0), lab.Experts.Tile(2));
        TileWork[] work = [
            new(Part(whole, whole.Slice with { Start = 32, End = 96 }), 0, 2), new(Part(whole, whole.Slice with { Start = 96 }), 2, 1), new(Part(part, part.Slice with { End = 64 }), 3, 2)];
        lab.SameBits(work, x, rows, gates);
        x.Dispose();
    }

    /// <summary>Some columns of a whole expert.</summary>
    private static ExpertTile Part(ExpertTile whole, ExpertSlice slice) =>
        ExpertTile.View(whole.Layout, slice, [.. Enumerable.Repeat(whole, whole.EndBlock)])!;

    [EmulatedFact]
    public void Tiles_that_do_not_fit_are_computed_by_the_CPU_or_pass_through_and_the_sum_keeps_its_order()
    {
        using var lab = new Lab(WeightFormat.Int8, ActivationFormat.Int8Blocks, 176, 88);
        // Room for two tiles beside the two places.
        lab.Hold(limit: 4 * 176 * 128 * 4, lab.Experts.Tile(0), lab.Experts.Tile(1), lab.Experts.Tile(2), lab.Experts.Tile(3));
        Assert.InRange(lab.Weights.Resident.Count, 1, 3);
        foreach (var rows in (int[])[3, CudaExpertFeedForward.MostOnCpu, CudaExpertFeedForward.MostOnCpu + 1, 40])
            lab.CompareWithCpu(rows, [0, 1, 2, 3]);
    }

    [EmulatedFact]
    public void Calls_of_one_size_share_a_recorded_graph()
    {
        using var lab = new Lab(WeightFormat.Int8, ActivationFormat.Int8Blocks, 72, 144);
        lab.Hold(lab.Experts.Tile(0), lab.Experts.Tile(1));
        for (var repeat = 0; repeat < 5; repeat++)
            lab.CompareWithCpu(5 + repeat % 3, [0, 1], seed: repeat);
        Assert.Equal(1, lab.Device.Captures);
        lab.CompareWithCpu(9, [0, 1]);
        Assert.Equal(2, lab.Device.Captures);
    }

    [EmulatedFact]
    public void More_pairs_than_a_pass_takes_are_computed_in_several()
    {
        using var lab = new Lab(WeightFormat.Int8, ActivationFormat.Int8Blocks, 72, 32, order: 2);
        lab.Hold(lab.Experts.Tile(0), lab.Experts.Tile(1), lab.Experts.Tile(2));
        lab.CompareWithCpu(530, [0, 1, 2]);
        Assert.True(lab.Device.Launches["expert_combine"] > 1);
    }

    /// <summary>One geometry with its CPU twin.</summary>
    private sealed class Lab : IDisposable
    {
        private readonly ActivationFormat _format;
        private readonly ComputePool _pool = new(1, spin: false);
        private readonly CpuExpertFeedForward _cpu;
        private CudaExpertFeedForward? _cuda;
        private CudaExpertWeights? _weights;

        public Lab(WeightFormat weights, ActivationFormat activations, int embeddingDim, int feedForwardDim, int order = 0)
        {
            (Experts, Device, _format) = (new SyntheticExperts(weights, embeddingDim, feedForwardDim), new EmulatedDevice(order), activations);
            _cpu = new CpuExpertFeedForward(_pool, Experts.Layout, activations);
        }

        public SyntheticExperts Experts { get; }

        public EmulatedDevice Device { get; }

        public CudaExpertWeights Weights => _weights!;

        public void Hold(params Model.Store.ExpertTile[] tiles) => Hold(null, tiles);

        public void Hold(long? limit, params Model.Store.ExpertTile[] tiles)
        {
            _weights = new CudaExpertWeights(Device, Experts.Layout, tiles, limit);
            _weights.Load(null, CancellationToken.None);
            _cuda = new CudaExpertFeedForward(_weights, new CpuExpertFeedForward(_pool, Experts.Layout, _format), _format);
        }

        /// <summary>Every row goes through all experts but one, which changes from row to row.</summary>
        public void CompareWithCpu(int rowCount, int[] experts, int seed = 1)
        {
            using var x = Experts.Rows(rowCount, _format, seed);
            var (rows, gates, work) = (new List<int>(), new List<float>(), new List<TileWork>());
            for (var e = 0; e < experts.Length; e++)
            {
                var first = rows.Count;
                for (var row = 0; row < rowCount; row++)
                    if (rowCount == 1 || (row + e) % experts.Length != 0)
                    {
                        rows.Add(row);
                        gates.Add(0.1f + 0.8f * (row * 7 + e * 3) % 11 / 11);
                    }
                if (rows.Count > first)
                    work.Add(new TileWork(Experts.Tile(experts[e]), first, rows.Count - first));
            }
            SameBits([.. work], x, [.. rows], [.. gates]);
        }

        public void SameBits(TileWork[] work, Activations x, int[] rows, float[] gates)
        {
            var expected = Run(_cpu, work, x, rows, gates);
            var actual = Run(_cuda!, work, x, rows, gates);
            Assert.Contains(expected, value => value != 0.25f);
            for (var i = 0; i < expected.Length; i++)
                Assert.True(
                    BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(actual[i]),
                    $"row {i / Experts.Layout.Columns} of {x.Rows}, column {i % Experts.Layout.Columns}: {expected[i]:r} on the CPU, {actual[i]:r} emulated");
        }

        public void Dispose()
        {
            _cuda?.Dispose();
            _weights?.Dispose();
            _cpu.Dispose();
            _pool.Dispose();
            Experts.Dispose();
        }

        private float[] Run(IExpertFeedForward feedForward, TileWork[] work, Activations x, int[] rows, float[] gates)
        {
            var sum = new float[x.Rows * Experts.Layout.Columns];
            // Something is there already: results are added to it.
            Array.Fill(sum, 0.25f);
            fixed (float* target = sum)
                feedForward.Accumulate(work, x, rows, gates, target);
            return sum;
        }
    }
}
