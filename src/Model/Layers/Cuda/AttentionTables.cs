namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>Device addresses of what attention is told about the rows of a step.</summary>
/// <param name="Places">Of every row its position, and the KV block where it is stored.</param>
/// <param name="Tiles">What thread blocks do.</param>
/// <param name="Merges">What is added up after them.</param>
/// <param name="Blocks">Addresses of KV blocks.</param>
internal readonly record struct AttentionTables(nint Places, nint Tiles, nint Merges, nint Blocks);
