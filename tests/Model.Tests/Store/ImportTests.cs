using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Store;

public sealed unsafe class ImportTests : IDisposable
{
    private readonly StoreFixture _stores = new();

    public void Dispose() => _stores.Dispose();

    public static TheoryData<string, WeightFormat> Imports()
    {
        var data = new TheoryData<string, WeightFormat>();
        foreach (var name in (string[])["tiny-a", "tiny-b"])
            foreach (var format in Enum.GetValues<WeightFormat>())
                data.Add(name, format);
        return data;
    }

    [Theory]
    [MemberData(nameof(Imports))]
    public void Every_expert_weight_and_scale_is_the_checkpoints_or_the_nearest_of_four_bits(string name, WeightFormat format)
    {
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, name));
        using var store = ModelStore.Open(_stores.Import(checkpoint, "s", new StoreBuildOptions { Weights = format }));
        var (config, width) = (checkpoint.Config, store.Manifest.ExpertBlockWidth);
        int gateGroups = store.Manifest.Groups.Gate, downGroups = store.Manifest.Groups.Down;
        var input = new PackedReader(format, config.EmbeddingDim, gateGroups, null);
        var hidden = new PackedReader(format, config.FeedForwardDim, downGroups, width);
        if (format == WeightFormat.Int4)
            Assert.Equal(((config.EmbeddingDim + 31) / 32, (config.FeedForwardDim + 31) / 32), (gateGroups, downGroups));
        double error = 0, power = 0;
        int[] layers = [0, config.LayerCount - 1];
        foreach (var layer in layers)
        {
            using var gate = checkpoint.Open(TensorRole.ExpertGate, layer);
            using var up = checkpoint.Open(TensorRole.ExpertUp, layer);
            using var down = checkpoint.Open(TensorRole.ExpertDown, layer);
            for (var expert = 0; expert < config.ExpertCount; expert++)
            {
                var bytes = File.ReadAllBytes(Path.Combine(store.Directory, $"experts/layer-{layer:00}-expert-{expert}.bin")).AsSpan();
                for (var first = 0; first < config.FeedForwardDim; first += width)
                {
                    var end = Math.Min(first + width, config.FeedForwardDim);
                    var panels = (end - first + 31) / 32;
                    var inputBytes = input.PanelBytes(0, config.EmbeddingDim);
                    for (var column = first; column < end; column++)
                        for (var side = 0; side < 2; side++)
                        {
                            var panel = (column - first) / 32 * 2 + side;
                            var scales = Align(2 * panels * inputBytes) + panel * gateGroups * 64;
                            for (var row = 0; row < config.EmbeddingDim; row++)
                                Check(bytes, side == 0 ? gate : up, expert, row, column,
                                    input.Weight(bytes[(panel * inputBytes)..], 0, row, (column - first) % 32),
                                    format == WeightFormat.Int4
                                        ? panel * inputBytes + PackedReader.Int4ScaleAt(0, row, (column - first) % 32)
                                        : scales + (input.Group(row) * 32 + (column - first) % 32) * 2);
                        }

                    var start = Align(Align(2 * panels * inputBytes) + (format == WeightFormat.Int8 ? 2 * panels * gateGroups * 64 : 0));
                    var downBytes = hidden.PanelBytes(first, end);
                    var padded = (config.EmbeddingDim + 31) / 32 * 32;
                    var downScales = Align(start + padded / 32 * downBytes);
                    for (var row = first; row < end; row++)
                        for (var column = 0; column < config.EmbeddingDim; column++)
                            Check(bytes, down, expert, row, column,
                                hidden.Weight(bytes[(start + column / 32 * downBytes)..], first, row, column % 32),
                                format == WeightFormat.Int4
                                    ? start + column / 32 * downBytes + PackedReader.Int4ScaleAt(first, row, column % 32)
                                    : downScales + ((hidden.Group(row) - hidden.Group(first)) * padded + column) * 2);
                    var groupsTouched = hidden.Group(end - 1) - hidden.Group(first) + 1;
                    bytes = bytes[Align(downScales + (format == WeightFormat.Int8 ? groupsTouched * padded * 2 : 0))..];
                }
                Assert.Equal(0, bytes.Length);
            }
        }

        Assert.InRange(Math.Sqrt(error), 0, 0.09 * Math.Sqrt(power));

        void Check(ReadOnlySpan<byte> block, SourceTensor source, int expert, int row, int column, float found, int scaleAt)
        {
            var (value, scale) = Source(source, expert, row, column);
            if (format == WeightFormat.Int4)
            {
                var (expected, step) = (Expected(value, scale, WeightFormat.Float32), BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(block[scaleAt..]) << 16));
                // A scale is at least 1 / 9 of the largest weight: 7 then stands for up to 9, and -8 for -9.
                var clipped = found switch { 7 => 2.05f, -8 => 1.05f, _ => 0.501f };
                if (found is < -8 or > 7 || step == 0 || Math.Abs(found * step - expected) > clipped * Math.Abs(step))
                    Assert.Fail($"{source.Name} expert {expert} [{row}, {column}]: found {found} steps of {step}, the source has {expected}");
                error += Math.Pow(found * step - expected, 2);
                power += Math.Pow(expected, 2);
                return;
            }
            if (format == WeightFormat.Int8 ? found != value || BitConverter.ToUInt16(block[scaleAt..]) != scale : found != Expected(value, scale, format))
                Assert.Fail($"{source.Name} expert {expert} [{row}, {column}]: found {found}, the source has {value}");
        }
    }

    [Theory]
    [MemberData(nameof(Imports))]
    public void Every_dense_weight_is_the_checkpoints(string name, WeightFormat format)
    {
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, name));
        using var store = ModelStore.Open(_stores.Import(checkpoint, "s", new StoreBuildOptions { Weights = format }));
        using var dense = store.OpenDense();
        if (format == WeightFormat.Int4)
            format = WeightFormat.Int8; // Four bits are for experts alone.
        Assert.Equal(format, store.Manifest.DenseWeights);
        foreach (var tensor in store.DenseLayout.Tensors.Where(tensor => !tensor.IsPacked && tensor.Role != TensorRole.Embedding))
        {
            using var source = checkpoint.Open(tensor.Role, tensor.Layer);
            Assert.True(dense.Plain(tensor.Role, tensor.Layer).SequenceEqual(new ReadOnlySpan<float>(source.Values, (int)source.ValueCount)), tensor.Name);
        }
        foreach (var tensor in store.DenseLayout.Tensors.Where(tensor => tensor.IsPacked && tensor.Role != TensorRole.Embedding))
        {
            using var source = checkpoint.Open(tensor.Role, tensor.Layer);
            var matrix = dense.Packed(tensor.Role, tensor.Layer);
            var reader = new PackedReader(format, tensor.Rows, matrix.Axis.Groups, null);
            var panelBytes = reader.PanelBytes(0, tensor.Rows);
            for (var column = 0; column < tensor.Columns; column++)
            {
                var panel = new ReadOnlySpan<byte>((byte*)matrix.Weights + (long)column / 32 * panelBytes, panelBytes);
                for (var row = 0; row < tensor.Rows; row++)
                {
                    var (value, scale) = Source(source, 0, row, column);
                    var expected = format == WeightFormat.Int8 ? value : Expected(value, scale, format);
                    var found = reader.Weight(panel, 0, row, column % 32);
                    if (found != expected || (format == WeightFormat.Int8 && scale != ((ushort*)matrix.Scales)[reader.Group(row) * ((tensor.Columns + 31) / 32 * 32) + column]))
                        Assert.Fail($"{tensor.Name} [{row}, {column}]: found {found}, the source has {expected}");
                }
            }
        }
    }

    [Theory]
    [InlineData("tiny-a")]
    [InlineData("tiny-b")]
    public void The_embedding_is_exact_and_the_head_is_its_transpose(string name)
    {
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, name));
        using var exact = ModelStore.Open(_stores.Import(checkpoint, "f32", new StoreBuildOptions { Weights = WeightFormat.Float32 }));
        using var fast = ModelStore.Open(_stores.Import(checkpoint, "int8"));
        using var exactDense = exact.OpenDense();
        using var fastDense = fast.OpenDense();
        using var source = checkpoint.Open(TensorRole.Embedding, 0);
        var dim = checkpoint.Config.EmbeddingDim;
        PackedReader floats = new(WeightFormat.Float32, dim, 1, null), bytes = new(WeightFormat.Int8, dim, fast.Manifest.Groups.Head, null);
        var (head, head8) = (exactDense.Packed(TensorRole.Embedding), fastDense.Packed(TensorRole.Embedding));
        for (var token = 0; token < checkpoint.Config.VocabularySize; token++)
        {
            var row = new ReadOnlySpan<float>((float*)source.Values + (long)token * dim, dim);
            Assert.True(row.SequenceEqual(exactDense.EmbeddingRow(token)));
            Assert.True(row.SequenceEqual(fastDense.EmbeddingRow(token)));
            for (var k = 0; k < dim; k++)
            {
                Assert.Equal(row[k], floats.Weight(Panel(head.Weights, token, floats.PanelBytes(0, dim)), 0, k, token % 32));
                var scale = BitConverter.UInt32BitsToSingle((uint)((ushort*)head8.Scales)[bytes.Group(k) * ((checkpoint.Config.VocabularySize + 31) / 32 * 32) + token] << 16);
                // Half a step, and what rounding the scale to bfloat16 (2^-9) may cost the largest value of 127 steps.
                Assert.InRange(bytes.Weight(Panel(head8.Weights, token, bytes.PanelBytes(0, dim)), 0, k, token % 32) * scale, row[k] - 0.76f * scale, row[k] + 0.76f * scale);
            }
        }

        static ReadOnlySpan<byte> Panel(nint weights, int column, int panelBytes) => new((byte*)weights + (long)column / 32 * panelBytes, panelBytes);
    }

    [Fact]
    public void Scale_groups_need_not_meet_the_edges_of_expert_blocks()
    {
        using var store = ModelStore.Open(_stores.Import("tiny-a", "s"));
        Assert.Equal(8, store.Manifest.Groups.Down);
        Assert.Equal(32, store.ExpertLayout.BlockWidth);
        Assert.Equal(16, store.ExpertLayout.Blocks[^1].Width);
        // Groups of 22 rows under blocks of 32: 0-21, 22-43, 44-65, 66-87, 88-109, 110-131, 132-153, 154-175.
        Assert.Equal([2, 2, 3, 2, 3, 1], store.ExpertLayout.Blocks.Select(block => block.Groups));
    }

    [Fact]
    public void The_result_says_what_was_written()
    {
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, "tiny-b"));
        var reports = new List<StoreProgress>();
        var result = StoreBuilder.Import(checkpoint, _stores.At("s") + "/", new StoreBuildOptions { Threads = 1 }, new ImmediateProgress(reports.Add), CancellationToken.None);
        var files = new DirectoryInfo(_stores.At("s")).GetFiles("*", SearchOption.AllDirectories);
        Assert.Equal(new StoreBuildResult(files.Length, files.Sum(file => file.Length), 0), result);
        Assert.Equal(2 + 2 * 4, files.Length);
        Assert.Equal(reports[^1].Total, reports[^1].Done);
        Assert.Equal(reports.Select(report => report.Done).Order(), reports.Select(report => report.Done));
        Assert.False(Directory.Exists(_stores.At("s.importing")));
        Assert.True(StoreFixture.Verify(_stores.At("s")).IsSound);
    }

    private static int Align(int offset) => (offset + 63) / 64 * 64;

    private static float Expected(sbyte value, ushort scale, WeightFormat format)
    {
        var product = value * BitConverter.UInt32BitsToSingle((uint)scale << 16);
        if (format == WeightFormat.Float32)
            return product;
        // Round half to even on the upper 16 bits, in integers.
        var bits = BitConverter.SingleToUInt32Bits(product);
        return BitConverter.UInt32BitsToSingle((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000);
    }

    private static (sbyte Value, ushort Scale) Source(SourceTensor tensor, int matrix, int row, int column)
    {
        long rows = tensor.Shape[^2], columns = tensor.Shape[^1];
        var value = (sbyte)tensor.Values[(matrix * rows + row) * columns + column];
        var scale = (byte*)tensor.Scales + ((matrix * (long)tensor.ScaleGroups + row / (rows / tensor.ScaleGroups)) * columns + column) * 2;
        return (value, (ushort)(scale[0] | scale[1] << 8));
    }
}
