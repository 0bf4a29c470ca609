using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Model.Config;

/// <summary>
/// What a <see cref="Grok1Config"/> must satisfy before anything is sized by it, whether it came from a file or from code.
/// The caps leave room above every published model and keep every product of dimensions (float32 bytes of all experts, of a KV cache
/// of full length) below 2^60, so arithmetic in <c>long</c> never overflows.
/// </summary>
public static class Grok1ConfigRules
{
    private sealed record Dimension(string Name, string Key, int Min, int Max, Func<Grok1Config, int> Value)
    {
        public string Title => $"{Name} ({Key})";
    }

    private sealed record Scalar(string Name, string Key, Func<Grok1Config, float> Value);

    private static readonly Dimension Embedding = new(nameof(Grok1Config.EmbeddingDim), "hidden_size", 1, 1 << 16, c => c.EmbeddingDim);
    private static readonly Dimension QueryHeads = new(nameof(Grok1Config.QueryHeadCount), "num_attention_heads", 1, 1 << 10, c => c.QueryHeadCount);
    private static readonly Dimension KeyValueHeads = new(nameof(Grok1Config.KeyValueHeadCount), "num_key_value_heads", 1, 1 << 10, c => c.KeyValueHeadCount);
    private static readonly Dimension Head = new(nameof(Grok1Config.HeadDim), "head_dim", 2, 1 << 10, c => c.HeadDim);
    private static readonly Dimension Experts = new(nameof(Grok1Config.ExpertCount), "num_experts", 1, TopK.MaxExperts, c => c.ExpertCount);
    private static readonly Dimension Chosen = new(nameof(Grok1Config.ExpertsPerToken), "num_experts_per_tok", 1, TopK.MaxExperts, c => c.ExpertsPerToken);
    private static readonly Dimension Vocabulary = new(nameof(Grok1Config.VocabularySize), "vocab_size", 1, 1 << 21, c => c.VocabularySize);

    private static readonly Dimension[] Dimensions =
    [
        Embedding,
        new(nameof(Grok1Config.FeedForwardDim), "intermediate_size", 1, 1 << 20, c => c.FeedForwardDim),
        new(nameof(Grok1Config.LayerCount), "num_hidden_layers", 1, 1 << 10, c => c.LayerCount),
        QueryHeads, KeyValueHeads, Head, Experts, Chosen, Vocabulary,
        new(nameof(Grok1Config.MaxSequenceLength), "max_position_embeddings", 1, 1 << 24, c => c.MaxSequenceLength),
    ];

    private static readonly Scalar[] Scalars =
    [
        new(nameof(Grok1Config.EmbeddingMultiplier), "embedding_multiplier_scale", c => c.EmbeddingMultiplier),
        new(nameof(Grok1Config.OutputMultiplier), "output_multiplier_scale", c => c.OutputMultiplier),
        new(nameof(Grok1Config.AttentionMultiplier), "attn_output_multiplier", c => c.AttentionMultiplier),
        new(nameof(Grok1Config.AttentionSoftCap), "max_attn_value", c => c.AttentionSoftCap),
        new(nameof(Grok1Config.RmsNormEpsilon), "rms_norm_eps", c => c.RmsNormEpsilon),
        new(nameof(Grok1Config.RopeTheta), "rope_theta", c => c.RopeTheta),
    ];

    private static readonly (string Name, string Key, Func<Grok1Config, int> Value)[] Tokens =
    [
        (nameof(Grok1Config.PadToken), "pad_token_id", c => c.PadToken),
        (nameof(Grok1Config.BosToken), "bos_token_id", c => c.BosToken),
        (nameof(Grok1Config.EosToken), "eos_token_id", c => c.EosToken),
        (nameof(Grok1Config.UnknownToken), "unk_token_id", c => c.UnknownToken),
    ];

    /// <summary>Throws one <see cref="ModelException"/> with every broken rule, in one line.</summary>
    /// <param name="source">What the message names as the place of the error: a file, or a command's flags.</param>
    public static void Check(Grok1Config config, string source) => Throw(source, FindErrors(config));

    /// <summary>Every broken rule, each with the property, its config.json key, its value and the range allowed.</summary>
    /// <param name="unread">Properties that could not be read and so are neither checked nor compared with others.</param>
    internal static List<string> FindErrors(Grok1Config config, IReadOnlySet<string>? unread = null)
    {
        var errors = new List<string>();
        var sound = new HashSet<string>();
        foreach (var dimension in Dimensions.Where(d => unread?.Contains(d.Name) != true))
        {
            var value = dimension.Value(config);
            if (value >= dimension.Min && value <= dimension.Max)
                sound.Add(dimension.Name);
            else
                errors.Add($"{dimension.Title} is {value}, allowed are {dimension.Min} to {dimension.Max}");
        }

        bool Sound(params ReadOnlySpan<Dimension> all)
        {
            foreach (var dimension in all)
                if (!sound.Contains(dimension.Name))
                    return false;
            return true;
        }

        if (Sound(Head) && config.HeadDim % 2 != 0)
            errors.Add($"{Head.Title} is {config.HeadDim}, it must be even because RoPE rotates its two halves");
        if (Sound(QueryHeads, KeyValueHeads) && config.QueryHeadCount % config.KeyValueHeadCount != 0)
            errors.Add($"{QueryHeads.Title} is {config.QueryHeadCount}, no multiple of {KeyValueHeads.Title} {config.KeyValueHeadCount}");
        if (Sound(Experts, Chosen) && config.ExpertsPerToken > config.ExpertCount)
            errors.Add($"{Chosen.Title} is {config.ExpertsPerToken}, more than {Experts.Title} {config.ExpertCount}");

        foreach (var scalar in Scalars.Where(s => unread?.Contains(s.Name) != true))
            if (!(scalar.Value(config) is > 0 and <= float.MaxValue))
                errors.Add($"{scalar.Name} ({scalar.Key}) is {scalar.Value(config)}, it must be a positive, finite float32");

        if (unread?.Contains(nameof(Grok1Config.AttentionSoftCap)) != true && config.AttentionSoftCap is > AttentionShape.MaxSoftCap and <= float.MaxValue)
            errors.Add($"{nameof(Grok1Config.AttentionSoftCap)} (max_attn_value) is {config.AttentionSoftCap}, at most {AttentionShape.MaxSoftCap} is allowed");

        foreach (var (name, key, token) in Tokens.Where(t => unread?.Contains(t.Name) != true))
            if (token(config) < 0 || (Sound(Vocabulary) && token(config) >= config.VocabularySize))
                errors.Add($"{name} ({key}) is {token(config)}, outside the vocabulary of {config.VocabularySize}");
        return errors;
    }

    internal static void Throw(string source, List<string> errors)
    {
        if (errors.Count > 0)
            throw new ModelException($"{source}: {string.Join("; ", errors)}");
    }
}
