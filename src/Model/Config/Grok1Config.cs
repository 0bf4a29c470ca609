using System.Text.Json.Serialization;

namespace Grok1Cluster.Model.Config;

/// <summary>
/// The geometry and constants of a Grok-1 model. The defaults are those of the 314B release
/// (xAI's <c>run.py</c>, <c>TransformerConfig</c>); a <c>config.json</c> beside the weights overrides them.
/// </summary>
public sealed record Grok1Config
{
    /// <summary>Width of the residual stream (xAI: <c>emb_size</c>).</summary>
    public int EmbeddingDim { get; init; } = 6144;

    /// <summary>Hidden width of one expert (xAI: <c>ffn_size(emb_size, widening_factor)</c>).</summary>
    public int FeedForwardDim { get; init; } = 32768;

    public int LayerCount { get; init; } = 64;

    public int QueryHeadCount { get; init; } = 48;

    /// <summary>Key/value heads; query head j reads KV head j / (QueryHeadCount / KeyValueHeadCount).</summary>
    public int KeyValueHeadCount { get; init; } = 8;

    /// <summary>Width of one head (xAI: <c>key_size</c>), even because RoPE rotates its two halves.</summary>
    public int HeadDim { get; init; } = 128;

    public int ExpertCount { get; init; } = 8;

    public int ExpertsPerToken { get; init; } = 2;

    public int VocabularySize { get; init; } = 131072;

    /// <summary>Longest context in tokens (xAI: <c>sequence_len</c>).</summary>
    public int MaxSequenceLength { get; init; } = 8192;

    public float EmbeddingMultiplier { get; init; } = 78.38367176906169f;

    public float OutputMultiplier { get; init; } = 0.5773502691896257f;

    public float AttentionMultiplier { get; init; } = 0.08838834764831845f;

    /// <summary>Attention logits are capped as <c>cap * tanh(logit / cap)</c>.</summary>
    public float AttentionSoftCap { get; init; } = 30f;

    public float RmsNormEpsilon { get; init; } = 1e-5f;

    public float RopeTheta { get; init; } = 10000f;

    public int PadToken { get; init; }

    public int BosToken { get; init; } = 1;

    public int EosToken { get; init; } = 2;

    public int UnknownToken { get; init; } = 3;

    /// <summary>Width of all query heads together.</summary>
    [JsonIgnore]
    public int QueryDim => QueryHeadCount * HeadDim;

    /// <summary>Width of all key (or value) heads together.</summary>
    [JsonIgnore]
    public int KeyValueDim => KeyValueHeadCount * HeadDim;
}
