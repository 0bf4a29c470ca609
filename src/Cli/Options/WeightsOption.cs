using System.Diagnostics.CodeAnalysis;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Cli.Options;

/// <summary><c>--weights</c>: the format of the matrices in a store that is written.</summary>
internal static class WeightsOption
{
    private static readonly Dictionary<string, WeightFormat> Formats = new()
    {
        ["int8"] = WeightFormat.Int8, ["bf16"] = WeightFormat.BFloat16, ["f32"] = WeightFormat.Float32,
    };

    public static FormattedOption<WeightFormat> Create() => new("--weights",
        new TextFormat<WeightFormat>(string.Join('|', Formats.Keys), $"one of {string.Join(", ", Formats.Keys)}",
            (string text, [MaybeNullWhen(false)] out WeightFormat format) => Formats.TryGetValue(text, out format)),
        WeightFormat.Int8, "format of the experts, attention and head (default: int8)");
}
