using Google.Protobuf;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>Hidden columns [Start, End) of an expert, as a call names them.</summary>
public readonly record struct TileRange(uint Expert, uint Start, uint End);

/// <summary>The bundles that a call asks for, encoded once: they are the same for every call of a layer until the plan changes.</summary>
public sealed class EncodedBundles
{
    /// <param name="bundles">Each with its tiles, in the order of its sum.</param>
    public EncodedBundles(IEnumerable<IEnumerable<TileRange>> bundles)
    {
        var call = new ExpertCall();
        foreach (var tiles in bundles)
        {
            var bundle = new Bundle();
            bundle.Tiles.AddRange(tiles.Select(tile => new BundleTile { Expert = tile.Expert, Start = tile.Start, End = tile.End }));
            call.Bundles.Add(bundle);
        }
        Count = call.Bundles.Count;
        Bytes = call.ToByteArray();
    }

    /// <summary>Bundles.</summary>
    public int Count { get; }

    /// <summary>The field <c>bundles</c> of the message, repeated.</summary>
    internal byte[] Bytes { get; }
}
