using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Tests;

public class Bf16Tests
{
    [Theory]
    [InlineData(0x3F80_0000u, 0x3F80)] // 1
    [InlineData(0x3F80_8000u, 0x3F80)] // a tie goes to the even side, here down
    [InlineData(0x3F81_8000u, 0x3F82)] // and here up
    [InlineData(0x3F80_8001u, 0x3F81)] // just above a tie
    [InlineData(0x8000_0000u, 0x8000)] // -0
    [InlineData(0x7F7F_FFFFu, 0x7F80)] // the largest float becomes infinity
    [InlineData(0xFF80_0000u, 0xFF80)] // -infinity
    [InlineData(0x0000_8001u, 0x0001)] // a subnormal
    public void Rounding_is_to_nearest_even(uint bits, int expected) =>
        Assert.Equal((ushort)expected, Bf16.Round(BitConverter.UInt32BitsToSingle(bits)));

    [Theory]
    [InlineData(0x7FC0_0000u)]
    [InlineData(0x7F80_0001u)]
    [InlineData(0x7FFF_FFFFu)]
    [InlineData(0xFFFF_FFFFu)]
    public void A_NaN_stays_a_NaN(uint bits) =>
        Assert.True(float.IsNaN(Bf16.Widen(Bf16.Round(BitConverter.UInt32BitsToSingle(bits)))));

    [Fact]
    public void Spans_of_any_length_agree_with_the_scalar_twin()
    {
        var random = new Random(5);
        foreach (int length in TestNumbers.Lengths)
        {
            var x = new float[length];
            for (int i = 0; i < length; i++)
                x[i] = BitConverter.UInt32BitsToSingle((uint)random.NextInt64(1L << 32)); // any bits, NaN and infinity too
            var expected = new ushort[length];
            var actual = new ushort[length];
            Bf16.RoundScalar(x, expected);
            Bf16.Round(x, actual);
            Assert.Equal(expected, actual);

            var widened = new float[length];
            var wide = new float[length];
            Bf16.WidenScalar(expected, widened);
            Bf16.Widen(expected, wide);
            TestNumbers.SameBits(widened, wide, "widen");
        }
    }

    [Fact]
    public void Every_bf16_survives_widening_and_rounding()
    {
        for (int bits = 0; bits <= ushort.MaxValue; bits++)
            if (!float.IsNaN(Bf16.Widen((ushort)bits)))
                Assert.Equal((ushort)bits, Bf16.Round(Bf16.Widen((ushort)bits)));
    }

    [Fact]
    public void Spans_of_different_lengths_are_refused_with_both_lengths()
    {
        var error = Assert.Throws<ArgumentException>(() => Bf16.Round(new float[3], new ushort[4]));
        Assert.Contains("3", error.Message);
        Assert.Contains("4", error.Message);
    }
}
