using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Tests.Checkpoints;

public sealed unsafe class SourceTensorTests : IDisposable
{
    private const int ScalesOfKey = 96;

    private readonly TemporaryCheckpoint _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_number_that_is_not_finite_is_found_wherever_it_is(float bad)
    {
        foreach (var index in (int[])[0, 1, 31, 32, 49151])
        {
            var values = Enumerable.Range(0, 512 * 96).Select(i => i % 7 - 3f).ToArray();
            (values[100], values[101]) = (float.MaxValue, -float.Epsilon);
            values[index] = bad;
            _tiny.Replace(0, new PickleBuilder().Float32([512, 96], values));

            AssertBad(TensorRole.Embedding, "Embedding: value", $"at [{index / 96}, {index % 96}] is {bad}, it must be finite");
        }
    }

    [Fact]
    public void Ranges_are_checked_by_themselves_and_a_hit_in_a_later_chunk_is_found()
    {
        // 4 * 96 * 256 values are more than one chunk.
        var weight = new sbyte[4 * 96 * 256];
        (weight[98303], weight[70000], weight[5]) = (-128, -128, -127);
        _tiny.Replace(2, new PickleBuilder().Quantized([4, 96, 256], weight, [4, 1, 256], Enumerable.Repeat((ushort)0x3F80, 1024).ToArray()));

        using var checkpoint = Ckpt0Checkpoint.Open(_tiny.Path);
        using var gate = checkpoint.Open(TensorRole.ExpertGate, 0);
        gate.CheckScales();
        gate.CheckValues(0, 70000);
        gate.CheckValues(70001, 98303 - 70001);
        gate.CheckValues(98304, 0);
        Assert.Contains("[2, 81, 112] is -128", Assert.Throws<ModelException>(() => gate.CheckValues(0, 98304)).Message);
        Assert.Contains("[3, 95, 255] is -128", Assert.Throws<ModelException>(() => gate.CheckValues(98303, 1)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => gate.CheckValues(98303, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => gate.CheckValues(long.MaxValue, 1));
    }

    [Theory]
    [InlineData(0x0000, "0")]
    [InlineData(0x8000, "-0")]
    [InlineData(0xBF80, "-1")]
    [InlineData(0x7F80, "Infinity")]
    [InlineData(0xFF80, "-Infinity")]
    [InlineData(0x7FC0, "NaN")]
    [InlineData(0xFFFF, "NaN")]
    public void A_scale_that_is_not_finite_and_positive_is_found(int bits, string shown)
    {
        foreach (var column in (int[])[0, 50, 95])
        {
            var scales = Enumerable.Repeat((ushort)0x0001, ScalesOfKey).ToArray();
            (scales[7], scales[column]) = (0x7F7F, (ushort)bits);
            _tiny.Replace(5, new PickleBuilder().Quantized([96, 96], new sbyte[96 * 96], [1, 96], scales));

            AssertBad(TensorRole.Key, "Key of layer 0: scale", $"at [0, {column}] is {shown}, it must be finite and greater than 0");
        }
    }

    [Fact]
    public void Values_and_scales_are_those_of_the_file()
    {
        var weight = Enumerable.Range(0, 96 * 96).Select(i => (sbyte)(i % 255 - 127)).ToArray();
        var scales = Enumerable.Range(0, 2 * 96).Select(i => (ushort)(0x3C00 + i)).ToArray();
        _tiny.Replace(5, new PickleBuilder().Quantized([96, 96], weight, [2, 96], scales));

        using var checkpoint = Ckpt0Checkpoint.Open(_tiny.Path);
        using var key = checkpoint.Open(TensorRole.Key, 0);

        key.CheckValues();
        Assert.Equal((2, 192L), (key.ScaleGroups, key.ScaleCount));
        Assert.True(new ReadOnlySpan<sbyte>(key.Values, weight.Length).SequenceEqual(weight));
        Assert.True(new ReadOnlySpan<ushort>(key.Scales, scales.Length).SequenceEqual(scales));
    }

    private void AssertBad(TensorRole role, params string[] expected)
    {
        using var checkpoint = Ckpt0Checkpoint.Open(_tiny.Path);
        using var tensor = checkpoint.Open(role, 0);
        var error = Assert.Throws<ModelException>(tensor.CheckValues);
        Assert.StartsWith(tensor.File, error.Message);
        Assert.All(expected, part => Assert.Contains(part, error.Message));
    }
}
