namespace Grok1Cluster.Cluster.Tests;

/// <summary>Tests that measure the whole process, or that a busy machine would disturb: they run while no others do.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;
