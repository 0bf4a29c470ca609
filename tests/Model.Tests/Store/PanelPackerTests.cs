using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Tests.Store;

public sealed unsafe class PanelPackerTests
{
    [Theory]
    [InlineData(1, 1, null)]
    [InlineData(3, 1, null)]
    [InlineData(64, 1, null)]
    [InlineData(176, 8, 32)]
    [InlineData(333, 9, 64)]
    [InlineData(512, 4, null)]
    public void Vectors_pack_the_bytes_that_scalar_code_packs(int length, int groups, int? blockWidth)
    {
        using var axis = new ReductionAxis(length, groups, blockWidth);
        var random = new Random(length);
        foreach (var columns in (int[])[1, 7, 31, 32])
        {
            const int stride = 45;
            var source = new byte[length * stride];
            random.NextBytes(source);
            byte[] fast = new byte[axis.PaddedLength * 32 + 1], scalar = new byte[axis.PaddedLength * 32 + 1];
            fast[^1] = scalar[^1] = 77;
            fixed (byte* from = source, to = fast, toScalar = scalar)
            {
                PanelPacker.PackInt8((sbyte*)from + 5, stride, columns, axis.Blocks, to);
                PanelPacker.PackInt8Scalar((sbyte*)from + 5, stride, columns, axis.Blocks, toScalar);
            }
            Assert.Equal(scalar, fast);
            Assert.Equal(77, fast[^1]);
        }
    }
}
