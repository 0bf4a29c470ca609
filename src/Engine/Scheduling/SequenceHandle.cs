using System.Threading.Channels;
using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Engine.Scheduling;

/// <summary>What the caller of the engine holds of a sequence.</summary>
/// <param name="Tokens">Generated ids as they come; completes, or fails as <paramref name="Completion"/> does.</param>
/// <param name="Completion">All of it; fails with what broke a step, or is cancelled.</param>
public sealed record SequenceHandle(ChannelReader<int> Tokens, Task<GenerationResult> Completion);
