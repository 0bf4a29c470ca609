namespace Grok1Cluster.Model.Layers;

/// <summary>How activations are held and sent.</summary>
public enum Precision
{
    /// <summary>int8 activation blocks, bfloat16 KV and replies, packed head. The cost is measured in perplexity and published.</summary>
    Fast,

    /// <summary>float32 everywhere: parity with the reference.</summary>
    Exact,
}
