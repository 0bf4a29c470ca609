namespace Grok1Cluster.Cluster.Plans;

/// <summary>A tile: one slice of FeedForwardDim of one expert of one layer; what is placed, loaded and hashed.</summary>
/// <param name="Slice">Index into the plan's cuts: the slice spans columns <c>[Cuts[Slice], Cuts[Slice + 1])</c>.</param>
public readonly record struct TileId(int Layer, int Expert, int Slice) : IComparable<TileId>
{
    /// <summary>Orders by layer, then expert, then slice: the order in which a worker adds tiles.</summary>
    public int CompareTo(TileId other) => (Layer, Expert, Slice).CompareTo((other.Layer, other.Expert, other.Slice));

    public override string ToString() => $"layer {Layer} expert {Expert} slice {Slice}";
}
