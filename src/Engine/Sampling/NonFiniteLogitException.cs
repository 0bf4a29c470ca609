namespace Grok1Cluster.Engine.Sampling;

/// <summary>The model gave a logit that is not a finite number, so that no token can be chosen.</summary>
public sealed class NonFiniteLogitException(int token, float value, int vocabularySize) : InvalidOperationException(
    $"the logit of token {token} (of {vocabularySize}) is {value}: the computation overflowed or its weights are damaged; `grok1 verify` checks them")
{
    /// <summary>The first token whose logit is not finite.</summary>
    public int Token { get; } = token;

    /// <summary>NaN or an infinity.</summary>
    public float Value { get; } = value;
}
