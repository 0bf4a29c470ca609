namespace Grok1Cluster.ExpertWorker.Control;

/// <summary>Who gives weights that this machine does not have.</summary>
/// <param name="Sources">gRPC addresses.</param>
/// <param name="BytesPerSecond">Most to take from all of them together; 0: no limit.</param>
internal sealed record WeightSupply(IReadOnlyCollection<string> Sources, long BytesPerSecond);
