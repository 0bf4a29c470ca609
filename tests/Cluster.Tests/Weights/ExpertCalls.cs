using System.Runtime.InteropServices;
using Google.Protobuf;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Tests.Weights;

/// <summary>Sound calls and requests for a store.</summary>
internal static class ExpertCalls
{
    /// <summary>Two tokens for some expert blocks of a layer, one bundle a range, int8 in and float32 out.</summary>
    public static ProcessRequest Call(ModelStore store, ulong id, params BlockRange[] ranges)
    {
        var axis = store.ExpertLayout.InputAxis;
        var call = new ExpertCall
        {
            Id = id, Layer = ranges[0].Layer, Weights = ExpertMethods.ShortFingerprint(store.Manifest.Fingerprint), Tokens = 2,
            ActivationFormat = TensorFormat.Int8Blocks, ResultFormat = TensorFormat.Float32,
            Activations = ByteString.CopyFrom([.. Enumerable.Range(0, 2 * axis.PaddedLength).Select(i => (byte)(sbyte)(i * 31 % 255 - 127))]),
            Scales = Floats(Enumerable.Repeat(0.01f, 2 * axis.BlockCount)),
            Experts = ByteString.CopyFrom((byte)ranges[0].Expert, (byte)ranges[^1].Expert, (byte)ranges[^1].Expert, (byte)ranges[0].Expert),
            Gates = Floats([0.5f, 0.25f, 0.5f, 0.125f]),
        };
        foreach (var range in ranges)
        {
            var slice = store.ExpertLayout.Slice((int)range.Layer, (int)range.Expert, (int)range.FirstBlock, (int)range.EndBlock);
            call.Bundles.Add(new Bundle { Tiles = { new BundleTile { Expert = range.Expert, Start = (uint)slice.Start, End = (uint)slice.End } } });
        }
        call.Checksum = Crc32C.Compute(call.Activations.Span, call.Scales.Span, call.Experts.Span, call.Gates.Span);
        return new ProcessRequest { Call = call };
    }

    public static BlockRange Range(int layer, int expert, int firstBlock, int endBlock) =>
        new() { Layer = (uint)layer, Expert = (uint)expert, FirstBlock = (uint)firstBlock, EndBlock = (uint)endBlock };

    /// <summary>With the hashes of the store's manifest.</summary>
    public static HoldRequest Hold(ModelStore store, params BlockRange[] ranges)
    {
        var request = new HoldRequest { Fingerprint = store.Manifest.Fingerprint };
        request.Ranges.AddRange(ranges.Select(range => new HoldRange { Range = range, Sha256 = Hashes(store, range) }));
        return request;
    }

    public static ReleaseRequest Release(ModelStore store, params BlockRange[] ranges) => new() { Fingerprint = store.Manifest.Fingerprint, Ranges = { ranges } };

    private static ByteString Hashes(ModelStore store, BlockRange range) => ByteString.CopyFrom(
        [.. Enumerable.Range((int)range.FirstBlock, (int)(range.EndBlock - range.FirstBlock))
            .SelectMany(block => Convert.FromHexString(store.FindBlock(new BlockId((int)range.Layer, (int)range.Expert, block))!.Value.Sha256))]);

    private static ByteString Floats(IEnumerable<float> values) => ByteString.CopyFrom(MemoryMarshal.AsBytes<float>(values.ToArray()));
}
