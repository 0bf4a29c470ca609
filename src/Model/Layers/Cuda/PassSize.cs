namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>All that the grids of a small call and the layout of its staging buffer depend on, rounded up to buckets.</summary>
internal readonly record struct PassSize(int Rows, int Pairs, int Items, int Panels, int Blocks, int ItemPairs);
