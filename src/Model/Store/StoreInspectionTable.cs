using System.Globalization;

namespace Grok1Cluster.Model.Store;

/// <summary>A <see cref="StoreInspection"/> as lines for people.</summary>
public static class StoreInspectionTable
{
    private const int MaxLayersShown = 16;

    /// <summary>Label and value of each line.</summary>
    public static IReadOnlyList<(string Label, string Value)> Rows(StoreInspection model)
    {
        var config = model.Config;
        var rows = new List<(string, string)>
        {
            ("model", model.Name),
            ("kind", model.Kind == "store" ? "model store" : $"source checkpoint ({model.Kind}); sizes are those of its int8 import"),
            ("path", model.Path),
            ("geometry", $"{config.LayerCount} layers, EmbeddingDim {config.EmbeddingDim}, FeedForwardDim {config.FeedForwardDim}, {config.ExpertCount} experts of which {config.ExpertsPerToken} a token"),
            ("attention", $"{config.QueryHeadCount} query heads, {config.KeyValueHeadCount} KV heads of {config.HeadDim}, context {config.MaxSequenceLength}"),
            ("vocabulary", $"{config.VocabularySize} tokens, {(model.Tokenizer is null ? "no tokenizer (token ids only)" : "with tokenizer")}"),
            ("parameters", $"{Count(model.Parameters)}, {Count(model.ActiveParameters)} met by one token"),
            ("formats", $"experts {model.ExpertWeights}, attention and head {model.DenseWeights}"),
            ("expert blocks", $"{model.BlocksPerExpert} an expert, {model.ExpertBlockWidth} hidden columns each"),
            ("files", ByteSize.Format(model.FileBytes)),
            ("coordinator", $"{ByteSize.Format(model.DenseBytes)}{(model.HoldsDense ? "" : ", not held here")}"),
            ("experts", $"{ByteSize.Format(model.ExpertBytes)}: {ByteSize.Format(model.BytesPerExpert)} an expert, {ByteSize.Format(model.ExpertBytesPerLayer)} a layer"),
            ("read per token", $"{ByteSize.Format(model.DenseBytesPerToken)} by the coordinator, {ByteSize.Format(model.ExpertBytesPerToken)} by the workers"),
            ("held", Held(model)),
        };
        foreach (var layer in model.HeldExperts.GroupBy(expert => expert.Layer).Take(MaxLayersShown))
            rows.Add(($"  layer {layer.Key}", string.Join(", ", layer.Select(expert => $"{expert.Expert}: {string.Join(" ", expert.Columns.Select(run => $"[{run[0]}, {run[1]})"))}"))));
        if (model.HeldExperts.Select(expert => expert.Layer).Distinct().Count() is var layers and > MaxLayersShown)
            rows.Add(("", $"and {layers - MaxLayersShown} layers more"));
        if (model.Fingerprint is { } fingerprint)
            rows.Add(("fingerprint", fingerprint));
        return rows;
    }

    private static string Held(StoreInspection model) =>
        model.HeldBlocks == model.TotalBlocks ? "all experts"
        : model.HeldBlocks == 0 ? "no expert"
        : $"{model.HeldBlocks} of {model.TotalBlocks} expert blocks";

    private static string Count(long count)
    {
        string[] units = ["", " thousand", " million", " billion"];
        var power = 0;
        var value = (double)count;
        while (value >= 1000 && power < units.Length - 1)
            (value, power) = (value / 1000, power + 1);
        return power == 0 ? $"{count}" : value.ToString("0.0", CultureInfo.InvariantCulture) + units[power];
    }
}
