namespace Grok1Cluster.Kernels.KvCache;

/// <summary>Element type of cached keys and values.</summary>
public enum KvFormat
{
    /// <summary>As computed; the parity mode.</summary>
    Float32,

    /// <summary>Rounded to nearest even when stored, half the memory and twice the context.</summary>
    Bf16,

    /// <summary>One float32 scale for the key and one for the value of each KV head and token; about half of bfloat16's memory.</summary>
    Int8,
}
