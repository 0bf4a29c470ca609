namespace Grok1Cluster.Weights.Cache;

/// <summary>A model in a cache of this machine.</summary>
/// <param name="Kind"><c>import</c>: a store made from a checkpoint on the fly. <c>weights</c>: blocks that came from other machines.</param>
/// <param name="Name">The model's id, or its fingerprint.</param>
/// <param name="Path">Full path of the directory that holds it and nothing else.</param>
/// <param name="Bytes">Disk that it takes.</param>
/// <param name="LastUsed">When a process last began to use it, UTC; null where none did since it is recorded.</param>
/// <param name="InUse">Whether a process uses it now.</param>
public sealed record CacheEntry(string Kind, string Name, string Path, long Bytes, DateTime? LastUsed, bool InUse);
