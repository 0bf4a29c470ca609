using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Cluster.Tests.Plans;

/// <summary>Geometries and worker names that several tests share.</summary>
internal static class Geometries
{
    /// <summary>176 columns in blocks of 16: eleven blocks, which few worker counts divide.</summary>
    public static PlanGeometry TinyA { get; } = new("tiny-a", layerCount: 12, expertCount: 4, feedForwardDim: 176, sliceQuantum: 16);

    /// <summary>176 columns in blocks of 64: the last block is 48 wide.</summary>
    public static PlanGeometry NarrowLastBlock { get; } = new("narrow", layerCount: 2, expertCount: 3, feedForwardDim: 176, sliceQuantum: 64);

    public static PlanGeometry Grok1 { get; } = new("grok-1", layerCount: 64, expertCount: 8, feedForwardDim: 32768, sliceQuantum: 256);

    public static string[] Workers(int count) => [.. Enumerable.Range(0, count).Select(number => $"worker-{number}")];
}
