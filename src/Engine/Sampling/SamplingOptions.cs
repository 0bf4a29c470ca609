namespace Grok1Cluster.Engine.Sampling;

/// <summary>How the next token is chosen from the logits. What the settings do, and in which order: <see cref="Sampler"/>.</summary>
public sealed record SamplingOptions
{
    /// <summary>Logits are divided by this, 0 to 100; 0 is greedy and makes the filters irrelevant. Default 0.7.</summary>
    public float Temperature { get; init; } = 0.7f;

    /// <summary>Only this many of the most probable tokens remain; 0, the default, keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>The fewest most probable tokens that have this probability together remain; above 0, at most 1. Default 1: all.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>Tokens less probable than this times the most probable one are dropped; 0 to 1. Default 0: none.</summary>
    public float MinP { get; init; }

    /// <summary>Divides positive logits of tokens seen before and multiplies negative ones; above 0, at most 100. Default 1: none.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Taken from the logits of tokens that were generated before, once; -2 to 2. Default 0: none.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>Taken from a token's logit for each time it was generated before; -2 to 2. Default 0: none.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Added to the logits of these tokens before anything else; -100 to 100. Default: none.</summary>
    public IReadOnlyDictionary<int, float> LogitBias { get; init; } = new Dictionary<int, float>();

    /// <summary>The same seed, logits and history give the same tokens; null, the default, takes a random one.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Everything that is out of range, a sentence for each; empty if the options are sound.</summary>
    public IReadOnlyList<string> FindErrors()
    {
        var errors = new List<string>();
        if (!(Temperature is >= 0 and <= 100))
            errors.Add($"temperature must be from 0 to 100, not {Temperature}");
        if (TopK < 0)
            errors.Add($"top-k must be 0 (off) or more, not {TopK}");
        if (!(TopP is > 0 and <= 1))
            errors.Add($"top-p must be above 0 and at most 1, not {TopP}");
        if (!(MinP is >= 0 and <= 1))
            errors.Add($"min-p must be from 0 to 1, not {MinP}");
        if (!(RepetitionPenalty is > 0 and <= 100))
            errors.Add($"repetition penalty must be above 0 and at most 100, not {RepetitionPenalty}");
        if (!(PresencePenalty is >= -2 and <= 2))
            errors.Add($"presence penalty must be from -2 to 2, not {PresencePenalty}");
        if (!(FrequencyPenalty is >= -2 and <= 2))
            errors.Add($"frequency penalty must be from -2 to 2, not {FrequencyPenalty}");
        foreach (var (token, bias) in LogitBias)
            if (token < 0 || !(bias is >= -100 and <= 100))
                errors.Add($"logit bias of token {token} must be from -100 to 100, not {bias}");
        return errors;
    }
}
