using System.Threading.Channels;
using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Engine.Scheduling;

/// <summary>What the caller of the engine holds of a sequence.</summary>
/// <param name="Tokens">Generated tokens as they come; completes, or fails as <paramref name="Completion"/> does.</param>
/// <param name="Completion">All of it; fails with what broke a step, or is cancelled.</param>
/// <param name="PromptLogprobs">Of the prompt's second token to its last, if asked for; to be read when the first token, or the end, has come.</param>
/// <param name="Times">Its times and counts so far.</param>
/// <param name="Stop">Ends it as if a stop token had come: the caller found a stop string. Returns at once.</param>
public sealed record SequenceHandle(
    ChannelReader<GeneratedToken> Tokens, Task<GenerationResult> Completion, IReadOnlyList<TokenLogprobs> PromptLogprobs, SequenceTimes Times, Action Stop);
