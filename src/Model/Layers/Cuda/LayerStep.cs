namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>All that a layer's copies and launches, and the layout of their buffers, depend on.</summary>
/// <param name="Stream">Number of the residual stream.</param>
/// <param name="Layer">The layer.</param>
/// <param name="Size">Of the batch.</param>
/// <param name="Begins">Whether the step's tables and rows have to be copied first.</param>
/// <param name="Adds">Layer whose experts' answers have to be added first; null: none has.</param>
internal readonly record struct LayerStep(int Stream, int Layer, AttentionSize Size, bool Begins, int? Adds);
