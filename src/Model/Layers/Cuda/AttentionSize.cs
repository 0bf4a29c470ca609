using System.Numerics;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>All of a batch that the launches of a layer's attention and the layout of its tables depend on.</summary>
internal readonly record struct AttentionSize(int Rows, int Tiles, int Merges, int Blocks, int TileQueries)
{
    /// <summary>With room for more, so that steps of about this size share a recorded graph.</summary>
    public AttentionSize RoundedUp() => this with { Rows = Bucket(Rows), Tiles = Bucket(Tiles), Merges = Bucket(Merges), Blocks = Bucket(Blocks) };

    /// <summary>The next power of two; 0 stays 0.</summary>
    private static int Bucket(int count) => (int)BitOperations.RoundUpToPowerOf2((uint)count);
}
