namespace Grok1Cluster.Engine;

/// <summary>Counters of an engine, as of the last step.</summary>
/// <param name="DraftedTokens">Tokens guessed by prompt lookup.</param>
/// <param name="AcceptedTokens">Those of them that were chosen.</param>
public sealed record EngineStatistics(
    int Running, int Waiting, int KvBlocksUsed, int KvBlocks, long Steps, long PromptTokens, long GeneratedTokens, long CachedTokens, long Preemptions,
    long DraftedTokens, long AcceptedTokens);
