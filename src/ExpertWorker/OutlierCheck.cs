using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.ExpertWorker;

/// <summary>Whether the outliers of a call are what kernels take.</summary>
internal static class OutlierCheck
{
    /// <summary>What is wrong, or null. The call's activations have their length.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static unsafe string? FindFault(CallFrame call, ReductionAxis axis, WeightFormat weights)
    {
        if (call.Outliers.IsEmpty)
            return null;
        if (call.ActivationFormat != TensorFormat.Int8Blocks || weights != WeightFormat.Int8)
            return $"outliers beside activations in {call.ActivationFormat} for {weights} weights";
        if (call.Outliers.Length % sizeof(RowOutlier) != 0)
            return $"outliers has {call.Outliers.Length} bytes, a multiple of {sizeof(RowOutlier)} is expected";
        var (before, block, inBlock) = (-1L, -1L, 0);
        foreach (var outlier in MemoryMarshal.Cast<byte, RowOutlier>(call.Outliers))
        {
            if ((uint)outlier.Row >= call.Tokens || (uint)outlier.Position >= (uint)axis.PaddedLength)
                return $"an outlier of token {outlier.Row} at {outlier.Position}, there are {call.Tokens} tokens of {axis.PaddedLength}";
            var at = (long)outlier.Row * axis.PaddedLength + outlier.Position;
            var index = axis.BlockOfPosition(outlier.Position);
            var ofBlock = (long)outlier.Row * axis.BlockCount + index;
            inBlock = ofBlock == block ? inBlock + 1 : 1;
            if (at <= before || inBlock > ActivationQuantizer.MaxOutliers)
                return "outliers are not ascending, or too many in a block";
            if (!float.IsFinite(outlier.Value) || call.Activations[(int)at] != 0 || outlier.Position - axis.Blocks[index].PaddedStart >= axis.Blocks[index].Length)
                return "an outlier is not finite, or lies where there is another activation or padding";
            (before, block) = (at, ofBlock);
        }
        return null;
    }
}
