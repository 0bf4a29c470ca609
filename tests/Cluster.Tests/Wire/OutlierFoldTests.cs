using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Cluster.Tests.Wire;

/// <summary>What a worker of the release before outliers is sent.</summary>
public sealed unsafe class OutlierFoldTests
{
    [Fact]
    public void Outliers_go_back_among_the_values_of_their_blocks_and_other_blocks_stay()
    {
        using var axis = new ReductionAxis(400, 1);
        using var input = new Activations(axis, ActivationFormat.Int8Blocks);
        input.Resize(2);
        var rows = Enumerable.Range(0, 2).Select(row => Enumerable.Range(0, 400).Select(i => MathF.Sin(i + row)).ToArray()).ToArray();
        (rows[0][150], rows[0][151], rows[1][300]) = (70, -900, 55);
        for (var row = 0; row < 2; row++)
            input.Set(row, rows[row]);
        Assert.Equal((2, 1), (input.CountOutliers(0), input.CountOutliers(1)));
        var frame = FrameOf(input);
        OutlierFold.Apply(frame, axis);
        Assert.True(frame.Outliers.IsEmpty);
        Assert.Equal(Crc32C.Compute(frame.Payload), frame.Checksum);
        var values = MemoryMarshal.Cast<byte, sbyte>(frame.Activations);
        var scales = MemoryMarshal.Cast<byte, float>(frame.Scales);
        for (var row = 0; row < 2; row++)
            for (var b = 0; b < axis.BlockCount; b++)
            {
                var (block, scale) = (axis.Blocks[b], scales[row * axis.BlockCount + b]);
                var x = rows[row].AsSpan(block.Start, block.Length);
                Assert.Equal(x.ToArray().Max(Math.Abs) / 127f, scale);
                // Rounded twice.
                for (var k = 0; k < x.Length; k++)
                    Assert.InRange(Math.Abs(values[row * axis.PaddedLength + block.PaddedStart + k] * (double)scale - x[k]), 0, scale * 0.6 + 0.005);
                Assert.DoesNotContain((sbyte)-128, values.ToArray());
            }
    }

    private static CallFrame FrameOf(Activations input)
    {
        var frame = new CallFrame { Tokens = (uint)input.Rows };
        var outliers = Enumerable.Range(0, input.Rows).Sum(input.CountOutliers);
        var (values, blocks) = (input.Rows * input.Axis.PaddedLength, input.Rows * input.Axis.BlockCount);
        frame.Resize(values, blocks * sizeof(float), 2, 8, outliers * sizeof(RowOutlier));
        new Span<byte>(input.Values, values).CopyTo(frame.Activations);
        new Span<byte>(input.Scales, blocks * sizeof(float)).CopyTo(frame.Scales);
        var target = MemoryMarshal.Cast<byte, RowOutlier>(frame.Outliers);
        for (var row = 0; row < input.Rows; row++)
        {
            input.CopyOutliers(row, row, target);
            target = target[input.CountOutliers(row)..];
        }
        return frame;
    }
}
