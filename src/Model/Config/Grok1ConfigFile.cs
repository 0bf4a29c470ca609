using System.Text.Json;
using System.Text.Unicode;

namespace Grok1Cluster.Model.Config;

/// <summary>
/// Reads a Hugging Face style <c>config.json</c>. Keys that the geometry or the mathematics depends on are required: every
/// dimension and the three multipliers (which differ from model to model). What such files commonly leave out falls
/// back to the value of the 314B release: <c>max_attn_value</c>, <c>rms_norm_eps</c>, <c>rope_theta</c>, the token ids, and
/// <c>head_dim</c>, which is <c>hidden_size / num_attention_heads</c>. Unknown keys are ignored, null counts as absent.
/// </summary>
public static class Grok1ConfigFile
{
    /// <summary>A config.json has some 30 short keys; more than this is refused before it is read.</summary>
    private const int MaxBytes = 1 << 20;

    private const int MaxDepth = 16;

    /// <summary>The config in the file at <paramref name="path"/>.</summary>
    /// <exception cref="ModelException">One line with all that is wrong: unreadable, no JSON, missing keys, bad values.</exception>
    public static Grok1Config Load(string path)
    {
        using var document = Parse(path);
        if (document.RootElement.ValueKind != JsonValueKind.Object)
            throw new ModelException($"{path}: a JSON object is expected, found {document.RootElement.ValueKind}");

        var reader = new ConfigJsonReader(document.RootElement);
        var defaults = new Grok1Config();
        var config = defaults with
        {
            EmbeddingDim = reader.RequiredInt(nameof(Grok1Config.EmbeddingDim), "hidden_size"),
            FeedForwardDim = reader.RequiredInt(nameof(Grok1Config.FeedForwardDim), "intermediate_size"),
            LayerCount = reader.RequiredInt(nameof(Grok1Config.LayerCount), "num_hidden_layers"),
            QueryHeadCount = reader.RequiredInt(nameof(Grok1Config.QueryHeadCount), "num_attention_heads"),
            KeyValueHeadCount = reader.RequiredInt(nameof(Grok1Config.KeyValueHeadCount), "num_key_value_heads"),
            ExpertCount = reader.RequiredInt(nameof(Grok1Config.ExpertCount), "num_experts", "num_local_experts"),
            ExpertsPerToken = reader.RequiredInt(nameof(Grok1Config.ExpertsPerToken), "num_experts_per_tok"),
            VocabularySize = reader.RequiredInt(nameof(Grok1Config.VocabularySize), "vocab_size"),
            MaxSequenceLength = reader.RequiredInt(nameof(Grok1Config.MaxSequenceLength), "max_position_embeddings"),
            EmbeddingMultiplier = reader.RequiredFloat(nameof(Grok1Config.EmbeddingMultiplier), "embedding_multiplier_scale"),
            OutputMultiplier = reader.RequiredFloat(nameof(Grok1Config.OutputMultiplier), "output_multiplier_scale"),
            AttentionMultiplier = reader.RequiredFloat(nameof(Grok1Config.AttentionMultiplier), "attn_output_multiplier"),
            AttentionSoftCap = reader.OptionalFloat(nameof(Grok1Config.AttentionSoftCap), "max_attn_value", defaults.AttentionSoftCap),
            RmsNormEpsilon = reader.OptionalFloat(nameof(Grok1Config.RmsNormEpsilon), "rms_norm_eps", defaults.RmsNormEpsilon),
            RopeTheta = reader.OptionalFloat(nameof(Grok1Config.RopeTheta), "rope_theta", defaults.RopeTheta),
            PadToken = reader.OptionalInt(nameof(Grok1Config.PadToken), "pad_token_id", defaults.PadToken),
            BosToken = reader.OptionalInt(nameof(Grok1Config.BosToken), "bos_token_id", defaults.BosToken),
            EosToken = reader.OptionalInt(nameof(Grok1Config.EosToken), "eos_token_id", defaults.EosToken),
            UnknownToken = reader.OptionalInt(nameof(Grok1Config.UnknownToken), "unk_token_id", defaults.UnknownToken),
        };
        config = config with { HeadDim = ReadHeadDim(reader, config) };
        Grok1ConfigRules.Throw(path, [.. reader.Errors, .. Grok1ConfigRules.FindErrors(config, reader.Unread)]);
        return config;
    }

    private static int ReadHeadDim(ConfigJsonReader reader, Grok1Config config)
    {
        const string name = nameof(Grok1Config.HeadDim);
        if (reader.Has("head_dim"))
            return reader.RequiredInt(name, "head_dim");
        if (config.EmbeddingDim > 0 && config.QueryHeadCount > 0 && config.EmbeddingDim % config.QueryHeadCount == 0)
            return config.EmbeddingDim / config.QueryHeadCount;

        if (config.EmbeddingDim > 0 && config.QueryHeadCount > 0)
            reader.Fail(name, $"hidden_size {config.EmbeddingDim} is no multiple of num_attention_heads {config.QueryHeadCount} and there is no head_dim");
        else
            reader.Skip(name);
        return 0;
    }

    private static JsonDocument Parse(string path)
    {
        try
        {
            var length = ModelFile.Length(path);
            if (length > MaxBytes)
                throw new ModelException($"{path}: {length} bytes are too many for a config.json, at most {MaxBytes} are read");
            var options = new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = false };
            var bytes = File.ReadAllBytes(path);
            if (!Utf8.IsValid(bytes))
                throw new ModelException($"{path}: not valid JSON: the text is not UTF-8");
            return JsonDocument.Parse(bytes, options);
        }
        // The parser compares names to find duplicates, and reports one with half a surrogate pair as an invalid operation.
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ModelException($"{path}: not valid JSON: {Printable.OneLine(e.Message)}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelException($"{path}: cannot be read: {Printable.OneLine(e.Message)}", e);
        }
    }
}
