using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Kernels.Cuda.Products;

/// <summary>
/// What a row of int8 activation blocks has beside its values on a device (outliers.cuh), in words of 4 bytes: scales, counts of
/// outliers, a byte each, rounded up to whole words, and room for the outliers of each block, whose positions count from the block's start.
/// </summary>
public static unsafe class RowFactors
{
    private const int OutlierWords = 2 * ActivationQuantizer.MaxOutliers;

    /// <summary>Bytes of rows over an axis of so many blocks.</summary>
    public static long Bytes(long rows, int blocks) => rows * Words(blocks) * sizeof(float);

    /// <summary>Writes all rows.</summary>
    /// <param name="x">int8 blocks.</param>
    /// <param name="target">[<see cref="Bytes"/>].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Write(Activations x, float* target)
    {
        var blocks = x.Axis.BlockCount;
        for (var row = 0; row < x.Rows; row++, target += Words(blocks))
        {
            var first = (long)row * blocks;
            new ReadOnlySpan<float>(x.Scales + first, blocks).CopyTo(new Span<float>(target, blocks));
            new ReadOnlySpan<byte>(x.OutlierCounts + first, blocks).CopyTo(new Span<byte>(target + blocks, blocks));
            for (var b = x.NextOutliers(row, 0, blocks); b < blocks; b = x.NextOutliers(row, b + 1, blocks))
            {
                var outliers = OutliersOf(target, blocks, b);
                foreach (var outlier in x.OutliersOf(row, b))
                    *outliers++ = outlier with { Position = outlier.Position - x.Axis.BlockPointer[b].PaddedStart };
            }
        }
    }

    /// <summary>Reads all rows; sums are left as they are.</summary>
    /// <param name="source">As <see cref="Write"/> leaves it.</param>
    /// <param name="target">int8 blocks.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Read(float* source, Activations target)
    {
        var blocks = target.Axis.BlockCount;
        for (var row = 0; row < target.Rows; row++, source += Words(blocks))
        {
            var first = (long)row * blocks;
            new ReadOnlySpan<float>(source, blocks).CopyTo(new Span<float>(target.Scales + first, blocks));
            new ReadOnlySpan<byte>(source + blocks, blocks).CopyTo(new Span<byte>(target.OutlierCounts + first, blocks));
            for (var b = target.NextOutliers(row, 0, blocks); b < blocks; b = target.NextOutliers(row, b + 1, blocks))
                for (var i = 0; i < target.OutlierCounts[first + b]; i++)
                {
                    var outlier = OutliersOf(source, blocks, b)[i];
                    target.Outliers[(first + b) * ActivationQuantizer.MaxOutliers + i] = outlier with { Position = outlier.Position + target.Axis.BlockPointer[b].PaddedStart };
                }
        }
    }

    private static int CountWords(int blocks) => (blocks + sizeof(float) - 1) / sizeof(float);

    private static int Words(int blocks) => blocks + CountWords(blocks) + OutlierWords * blocks;

    private static Outlier* OutliersOf(float* row, int blocks, int block) => (Outlier*)(row + blocks + CountWords(blocks)) + ActivationQuantizer.MaxOutliers * block;
}
