namespace Grok1Cluster.Model.Store;

/// <summary>An expert block, as <see cref="ExpertLayout"/> numbers them.</summary>
public readonly record struct BlockId(int Layer, int Expert, int Block) : IComparable<BlockId>
{
    public int CompareTo(BlockId other) => (Layer, Expert, Block).CompareTo((other.Layer, other.Expert, other.Block));

    public override string ToString() => $"layer {Layer} expert {Expert} block {Block}";
}

/// <summary>An expert block on this machine's disk.</summary>
/// <param name="Id">Which.</param>
/// <param name="Path">Its file.</param>
/// <param name="FileBytes">Length of the file.</param>
/// <param name="Offset">Where in the file it begins.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Sha256">What the file is known to hold there, lower-case hexadecimal.</param>
public readonly record struct StoredBlock(BlockId Id, string Path, long FileBytes, long Offset, long Bytes, string Sha256)
{
    /// <summary>Whether another block follows this one, in the expert and in the file.</summary>
    public bool IsFollowedBy(StoredBlock next) =>
        next.Id == Id with { Block = Id.Block + 1 } && next.Path == Path && next.Offset == Offset + Bytes;
}
