namespace Grok1Cluster.Model.Checkpoints;

/// <summary>What a tensor is for, whatever a checkpoint format calls it; the comments give xAI's parameter names.</summary>
public enum TensorRole
{
    /// <summary>in_out_embed: input embedding and, transposed, the output head.</summary>
    Embedding,

    /// <summary>rms_norm outside the layers.</summary>
    FinalNorm,

    /// <summary>moe/linear: the side that goes through gelu.</summary>
    ExpertGate,

    /// <summary>moe/linear_1.</summary>
    ExpertDown,

    /// <summary>moe/linear_v.</summary>
    ExpertUp,

    /// <summary>multi_head_attention/key.</summary>
    Key,

    /// <summary>multi_head_attention/linear.</summary>
    AttentionOutput,

    /// <summary>multi_head_attention/query.</summary>
    Query,

    /// <summary>multi_head_attention/value.</summary>
    Value,

    /// <summary>rms_norm.</summary>
    PreAttentionNorm,

    /// <summary>rms_norm_1.</summary>
    PostAttentionNorm,

    /// <summary>rms_norm_2.</summary>
    PreMoeNorm,

    /// <summary>rms_norm_3.</summary>
    PostMoeNorm,

    /// <summary>router/w.</summary>
    Router,
}
