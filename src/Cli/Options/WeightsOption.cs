using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Cli.Options;

/// <summary><c>--weights</c>: the format of the matrices in a store that is written.</summary>
internal static class WeightsOption
{
    private static readonly Dictionary<string, WeightFormat> Formats = new()
    {
        ["int8"] = WeightFormat.Int8, ["int4"] = WeightFormat.Int4, ["bf16"] = WeightFormat.BFloat16, ["f32"] = WeightFormat.Float32,
    };

    /// <returns>Null stands for int8.</returns>
    public static FormattedOption<WeightFormat?> Create() => new("--weights",
        TextFormats.Optional(new TextFormat<WeightFormat>(string.Join('|', Formats.Keys), $"one of {string.Join(", ", Formats.Keys)}", Formats.TryGetValue)),
        null, "format of the experts, attention and head; with int4, attention and head are int8 (default: int8)");
}
