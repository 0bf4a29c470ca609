using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Writes a store of random weights.</summary>
internal static class SynthVerb
{
    public static Command Create()
    {
        var target = new PathArgument("DST", "the store to write; must not exist");
        var like = new FormattedOption<string>("--like", TextFormats.OneOf("grok-1"), "grok-1", "the geometry that the other flags change");
        var layers = Dimension("--layers", "layers");
        var embedding = Dimension("--embedding-dim", "width of the residual stream; a head has this over the query heads");
        var queryHeads = Dimension("--query-heads", "query heads");
        var keyValueHeads = Dimension("--kv-heads", "key and value heads");
        var feedForward = Dimension("--feed-forward-dim", "hidden width of an expert");
        var experts = Dimension("--experts", "experts of a layer");
        var vocabulary = Dimension("--vocabulary", "tokens");
        var seed = new FormattedOption<int>("--seed", TextFormats.Count(0), 0, "equal seeds give equal stores");
        var weights = WeightsOption.Create();

        var verb = new Verb("synth", "Write a model store of random weights at any geometry, for timing.",
            "grok1 synth bench-5b --embedding-dim 3072 --query-heads 24 --kv-heads 4 --feed-forward-dim 16384 --layers 4 --vocabulary 8192",
            "grok1 synth two-layers --layers 2")
        { target, like, layers, embedding, queryHeads, keyValueHeads, feedForward, experts, vocabulary, seed, weights };
        verb.AddJson();
        verb.Runs((context, cancel) =>
        {
            var defaults = new Grok1Config();
            var config = Scale(defaults with
            {
                LayerCount = context.Get(layers) ?? defaults.LayerCount,
                EmbeddingDim = context.Get(embedding) ?? defaults.EmbeddingDim,
                QueryHeadCount = context.Get(queryHeads) ?? defaults.QueryHeadCount,
                KeyValueHeadCount = context.Get(keyValueHeads) ?? defaults.KeyValueHeadCount,
                FeedForwardDim = context.Get(feedForward) ?? defaults.FeedForwardDim,
                ExpertCount = context.Get(experts) ?? defaults.ExpertCount,
                VocabularySize = context.Get(vocabulary) ?? defaults.VocabularySize,
            });
            var options = new StoreBuildOptions { Weights = context.Get(weights) ?? WeightFormat.Int8 };
            var path = context.Get(target)!;
            return Task.FromResult(context.WriteStore(path, progress => StoreBuilder.Synthesise(config, context.Get(seed), path, options, progress, cancel)));
        });
        return verb;
    }

    private static FormattedOption<int?> Dimension(string flag, string description) =>
        new(flag, TextFormats.Optional(TextFormats.Count(1)), null, $"{description} (default: as --like)");

    /// <summary>What follows from the dimensions, as in the release: HeadDim is EmbeddingDim / query heads, multipliers are sqrt(EmbeddingDim) and 1 / sqrt(HeadDim).</summary>
    private static Grok1Config Scale(Grok1Config config)
    {
        if (config.EmbeddingDim % config.QueryHeadCount != 0)
            throw new UsageException($"--embedding-dim {config.EmbeddingDim} is no multiple of --query-heads {config.QueryHeadCount}");
        var headDim = config.EmbeddingDim / config.QueryHeadCount;
        config = config with
        {
            HeadDim = headDim,
            ExpertsPerToken = Math.Min(config.ExpertsPerToken, config.ExpertCount),
            EmbeddingMultiplier = (float)Math.Sqrt(config.EmbeddingDim),
            AttentionMultiplier = (float)(1 / Math.Sqrt(headDim)),
        };
        try
        {
            Grok1ConfigRules.Check(config, "this geometry is not possible");
            return config;
        }
        catch (ModelException e)
        {
            throw new UsageException(e.Message, e);
        }
    }
}
