using System.Runtime.CompilerServices;
using Google.Protobuf;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>Writes the call of one worker for one layer: its bundles, and only the tokens that need them.</summary>
internal sealed unsafe class CallBuilder(Plan plan, ulong weights, TimeSpan timeout)
{
    /// <param name="batch">The layer's tokens.</param>
    /// <param name="bundles">The worker's bundles of this layer, in plan order.</param>
    /// <param name="rows">Receives the rows of the batch that the call carries, ascending.</param>
    /// <returns>Null when no token needs these bundles.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public ExpertCall? Build(ExpertBatch batch, IReadOnlyList<PlacedBundle> bundles, List<int> rows)
    {
        rows.Clear();
        for (var row = 0; row < batch.Rows; row++)
            if (IsNeeded(batch.Experts.Slice(row * batch.ExpertsPerToken, batch.ExpertsPerToken), bundles))
                rows.Add(row);
        if (rows.Count == 0)
            return null;

        var input = batch.Input;
        var exact = input.Format == ActivationFormat.Float32;
        var call = new ExpertCall
        {
            Layer = (uint)batch.Layer,
            TimeoutMs = (uint)timeout.TotalMilliseconds,
            Weights = weights,
            Tokens = (uint)rows.Count,
            ActivationFormat = exact ? TensorFormat.Float32 : TensorFormat.Int8Blocks,
            Activations = exact ? Gather(rows, (byte*)input.Floats, input.Axis.PaddedLength * sizeof(float)) : Gather(rows, (byte*)input.Values, input.Axis.PaddedLength),
            Scales = exact ? ByteString.Empty : Gather(rows, (byte*)input.Scales, input.Axis.BlockCount * sizeof(float)),
            ResultFormat = exact ? TensorFormat.Float32 : TensorFormat.Bfloat16,
        };
        var experts = new byte[rows.Count * batch.ExpertsPerToken];
        for (var i = 0; i < experts.Length; i++)
            experts[i] = (byte)batch.Experts[rows[i / batch.ExpertsPerToken] * batch.ExpertsPerToken + i % batch.ExpertsPerToken];
        call.Experts = UnsafeByteOperations.UnsafeWrap(experts);
        fixed (float* gates = batch.Gates)
            call.Gates = Gather(rows, (byte*)gates, batch.ExpertsPerToken * sizeof(float));
        foreach (var bundle in bundles)
            call.Bundles.Add(Describe(bundle.Bundle));
        call.Checksum = Crc32C.Compute(call.Activations.Span, call.Scales.Span, call.Experts.Span, call.Gates.Span);
        return call;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private Protos.Expert.V1.Bundle Describe(Cluster.Plans.Bundle bundle)
    {
        var message = new Protos.Expert.V1.Bundle();
        foreach (var tile in bundle.Tiles)
            message.Tiles.Add(new BundleTile { Expert = (uint)tile.Expert, Start = (uint)plan.Cuts[tile.Slice], End = (uint)plan.Cuts[tile.Slice + 1] });
        return message;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool IsNeeded(ReadOnlySpan<int> experts, IReadOnlyList<PlacedBundle> bundles)
    {
        for (var i = 0; i < bundles.Count; i++)
            foreach (var expert in experts)
                if (bundles[i].Experts.Contains(expert))
                    return true;
        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ByteString Gather(List<int> rows, byte* source, int rowBytes)
    {
        var bytes = new byte[rows.Count * rowBytes];
        for (var i = 0; i < rows.Count; i++)
            new ReadOnlySpan<byte>(source + (long)rows[i] * rowBytes, rowBytes).CopyTo(bytes.AsSpan(i * rowBytes));
        return UnsafeByteOperations.UnsafeWrap(bytes);
    }
}
