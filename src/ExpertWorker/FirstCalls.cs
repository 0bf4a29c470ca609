using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.ExpertWorker;

/// <summary>
/// Calls that a worker makes of itself before it is ready: code is compiled by the first call that needs it, and one that a
/// coordinator waits for would wait for that as well. They change nothing that is seen from outside.
/// </summary>
internal static class FirstCalls
{
    /// <summary>Tokens of each call: products of few, of some and of many rows are different code.</summary>
    private static readonly int[] Rows = [1, 2, 4, 8, 16];

    /// <summary>Computes calls for one expert block, in the format that coordinators use unless they are told otherwise.</summary>
    /// <param name="tiles">In memory; where nothing is held nothing is done.</param>
    /// <param name="device">Nothing else computes on it meanwhile.</param>
    /// <returns>Calls that were computed.</returns>
    public static int Compute(TileStore tiles, IExpertDevice device)
    {
        if (tiles.Slices is not [var held, ..])
            return 0;
        using var executor = new CallExecutor(tiles, device);
        var (request, result, bytes) = (new ExpertRequest(), new ResultFrame(), new ArrayBufferWriter<byte>());
        var computed = 0;
        foreach (var rows in Rows)
        {
            bytes.ResetWrittenCount();
            Call(tiles.Model, held, rows).WriteTo(bytes);
            request.Frame.ReadFrom(bytes.WrittenSpan);
            if (request.Check(tiles) is { } refusal)
                throw new InvalidOperationException($"this worker refuses its own call: {refusal.Message}");
            executor.Run(request, result, null);
            bytes.ResetWrittenCount();
            result.WriteTo(bytes);
            computed++;
        }
        return computed;
    }

    /// <summary>A call of tokens that all take the first block of one expert.</summary>
    private static CallFrame Call(ModelStore model, ExpertSlice held, int rows)
    {
        var (layout, config) = (model.ExpertLayout, model.Config);
        var isFast = layout.Format.IsQuantised();
        var (first, _) = layout.BlockRange(held.Start, held.End);
        var part = layout.Slice(held.Layer, held.Expert, first, first + 1);
        var call = new CallFrame
        {
            Layer = (uint)held.Layer,
            Tokens = (uint)rows,
            Weights = ExpertMethods.ShortFingerprint(model.Manifest.Fingerprint),
            Bundles = new EncodedBundles([[new TileRange((uint)part.Expert, (uint)part.Start, (uint)part.End)]]),
            ActivationFormat = isFast ? TensorFormat.Int8Blocks : TensorFormat.Float32,
            ResultFormat = isFast ? TensorFormat.Bfloat16 : TensorFormat.Float32,
            Priority = Priority.Decode,
        };
        var (axis, pairs) = (layout.InputAxis, rows * config.ExpertsPerToken);
        var outliers = layout.Format == WeightFormat.Int8 ? rows : 0;
        call.Resize(
            rows * axis.PaddedLength * (isFast ? sizeof(sbyte) : sizeof(float)), isFast ? rows * axis.BlockCount * sizeof(float) : 0,
            pairs, pairs * sizeof(float), outliers * Unsafe.SizeOf<RowOutlier>());
        call.Activations.Clear();
        MemoryMarshal.Cast<byte, float>(call.Scales).Fill(1);
        call.Experts.Fill((byte)held.Expert);
        MemoryMarshal.Cast<byte, float>(call.Gates).Fill(1);
        for (var row = 0; row < outliers; row++)
            MemoryMarshal.Cast<byte, RowOutlier>(call.Outliers)[row] = new RowOutlier(row, 0, 1);
        call.Checksum = Crc32C.Compute(call.Payload);
        return call;
    }
}
