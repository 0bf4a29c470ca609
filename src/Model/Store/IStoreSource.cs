namespace Grok1Cluster.Model.Store;

/// <summary>Where a store's bytes come from: an import reads a checkpoint, a synthesis invents them. Thread-safe.</summary>
public interface IStoreSource
{
    /// <summary>Writes rows [first, end) of a plain tensor as float32.</summary>
    void FillPlain(DenseTensor tensor, int first, int end, Span<float> target);

    /// <summary>Writes one panel of a packed tensor and, for formats with a table of scales, its scales [groups, 32].</summary>
    void FillPanel(DenseTensor tensor, int panel, Span<byte> weights, Span<ushort> scales);

    /// <summary>Writes one expert block as <see cref="ExpertLayout"/> lays it out; the target is zeroed.</summary>
    void FillExpertBlock(ExpertLayout layout, int layer, int expert, ExpertBlock block, Span<byte> target);
}
