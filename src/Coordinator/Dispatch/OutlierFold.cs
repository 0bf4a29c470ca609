using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// Puts a call's outliers back among the int8 values of their blocks, for a worker of the release before, which does not know
/// them: as coarse as it was in that release.
/// </summary>
internal static unsafe class OutlierFold
{
    /// <summary>Changes the call and its checksum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Apply(CallFrame frame, ReductionAxis axis)
    {
        var x = stackalloc float[ReductionAxis.MaxBlock];
        var outliers = MemoryMarshal.Cast<byte, RowOutlier>(frame.Outliers);
        for (var i = 0; i < outliers.Length;)
        {
            var (row, index) = (outliers[i].Row, axis.BlockOfPosition(outliers[i].Position));
            var block = axis.Blocks[index];
            var values = MemoryMarshal.Cast<byte, sbyte>(frame.Activations).Slice(row * axis.PaddedLength + block.PaddedStart, block.Length);
            ref var scale = ref MemoryMarshal.Cast<byte, float>(frame.Scales)[row * axis.BlockCount + index];
            for (var k = 0; k < block.Length; k++)
                x[k] = values[k] * scale;
            for (; i < outliers.Length && outliers[i].Row == row && outliers[i].Position < block.PaddedStart + block.Length; i++)
                x[outliers[i].Position - block.PaddedStart] = outliers[i].Value;
            var (coarser, sum) = (0f, 0);
            fixed (sbyte* target = values)
                ActivationQuantizer.QuantizePlainBlock(x, block.Length, target, &coarser, &sum);
            scale = coarser;
        }
        frame.DropOutliers();
        frame.Checksum = Crc32C.Compute(frame.Payload);
    }
}
