namespace Grok1Cluster.Cli.Options;

/// <summary>How activations, KV cache and head are computed.</summary>
internal enum Precision
{
    /// <summary>Activations in int8 blocks, KV in bf16, an int8 head.</summary>
    Fast,

    /// <summary>Float32 everywhere: the parity mode.</summary>
    Exact,
}
