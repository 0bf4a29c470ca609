using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Numerics;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Grpc;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Cli.Settings;

internal delegate bool TryParse<T>(string text, [MaybeNullWhen(false)] out T value);

/// <summary>How the text of a flag, a variable or a config value becomes a value, the same for all three.</summary>
/// <param name="Placeholder">What help shows for the value: <c>N</c>, <c>fast|exact</c>.</param>
/// <param name="Allowed">Ends the sentence "'x' is not ...".</param>
internal sealed record TextFormat<T>(string Placeholder, string Allowed, TryParse<T> TryParse);

/// <summary>The formats that settings have.</summary>
internal static class TextFormats
{
    public static TextFormat<string> Text(string placeholder) => new(placeholder, "a text that is not empty", NotEmpty);

    public static TextFormat<string> WorkerId { get; } = new("ID", WorkerIds.Allowed, (string text, [MaybeNullWhen(false)] out string value) => WorkerIds.IsId(value = text));

    /// <summary>A text that may be left out.</summary>
    public static TextFormat<string?> OptionalText(string placeholder) => new(placeholder, "a text that is not empty", (string text, out string? value) => NotEmpty(text, out value));

    public static TextFormat<int> Count(int min, int max = int.MaxValue) => Number("N", NumberStyles.AllowLeadingSign, "a whole number", min, max);

    public static TextFormat<double> Real(double min, double max) => Number("X", NumberStyles.Float, "a number", min, max);

    /// <summary>A share of something, of which there is some.</summary>
    public static TextFormat<double> Share { get; } = new("X", "a number above 0 and at most 1", (string text, out double value) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value) && value is > 0 and <= 1);

    public static TextFormat<ulong> Seed { get; } = Number<ulong>("N", NumberStyles.None, "a whole number", 0, ulong.MaxValue);

    public static TextFormat<long> Bytes { get; } =
        new("SIZE", "a size such as 16GiB, 16GB or 500000000", ByteSize.TryParse);

    /// <summary>A size within bounds.</summary>
    public static TextFormat<long> BytesFrom(long min, long max) => new("SIZE", $"a size such as 16MiB, 16MB or 500000, from {ByteSize.Format(min)} to {ByteSize.Format(max)}",
        (string text, out long value) => ByteSize.TryParse(text, out value) && value >= min && value <= max);

    /// <summary>A size, which may be 0.</summary>
    public static TextFormat<long> BytesOrNone { get; } =
        new("SIZE", "0 or a size such as 16GiB, 16GB or 500000000", (string text, out long value) => ByteSize.TryParse(text, out value) || text.Trim() == "0");

    /// <summary>One size or several.</summary>
    public static TextFormat<long[]?> ByteList { get; } = new("SIZE,...", "a list of sizes such as 100GB, separated by commas", (string text, out long[]? value) =>
    {
        var parts = text.Split(',', StringSplitOptions.TrimEntries);
        value = new long[parts.Length];
        for (var i = 0; i < parts.Length; i++)
            if (!ByteSize.TryParse(parts[i], out value[i]))
                return false;
        return true;
    });

    /// <summary>One count or several.</summary>
    public static TextFormat<int[]?> Counts(int min, int max) => new("N,...", $"a list of whole numbers from {min} to {max}, separated by commas", (string text, out int[]? value) =>
        TokenIds.TryParse(text, out value) && Array.TrueForAll(value!, count => count >= min && count <= max));

    /// <summary>Token ids; ids outside the vocabulary are found by whoever knows it.</summary>
    public static TextFormat<int[]?> TokenIds { get; } = new("5,17,300", "a list of token ids, separated by commas", (string text, out int[]? value) =>
    {
        var parts = text.Split(',', StringSplitOptions.TrimEntries);
        value = new int[parts.Length];
        for (var i = 0; i < parts.Length; i++)
            if (!int.TryParse(parts[i], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value[i]))
                return false;
        return true;
    });

    /// <summary>What computes.</summary>
    public static TextFormat<DeviceChoice> Device { get; } = new("cpu|cuda:N|auto", "cpu, cuda:0 or another number, or auto", DeviceChoice.TryParse);

    /// <summary>gRPC addresses.</summary>
    public static TextFormat<string[]?> Addresses { get; } = new("HOST:PORT,...", "a list of addresses such as 10.0.0.1:9050 or unix:/run/worker.sock, separated by commas", (string text, out string[]? value) =>
    {
        value = text.Split(',', StringSplitOptions.TrimEntries);
        try
        {
            foreach (var address in value)
                GrpcAddress.Parse(address);
            return true;
        }
        catch (FormatException)
        {
            return false;
        }
    });

    /// <summary>An http or https address.</summary>
    /// <param name="example">What errors show.</param>
    public static TextFormat<string?> HttpUrl(string example) => new("URL", $"an address such as {example}", (string text, out string? value) =>
    {
        value = text;
        return Uri.TryCreate(text, UriKind.Absolute, out var uri) && (uri.Scheme == Uri.UriSchemeHttp || uri.Scheme == Uri.UriSchemeHttps);
    });

    /// <summary>A text that may be left out.</summary>
    public static TextFormat<string?> Secret { get; } = new("KEY", "a text that is not empty", (string text, out string? value) => NotEmpty(text, out value));

    public static TextFormat<CpuSet?> Cpus { get; } = new("0-3,8", "a list of CPU numbers and ranges, separated by commas", CpuSet.TryParse);

    public static TextFormat<bool> Flag { get; } = new("", "true or false", bool.TryParse);

    public static TextFormat<string> OneOf(params string[] names) =>
        new(string.Join('|', names), $"one of {string.Join(", ", names)}", (string text, [MaybeNullWhen(false)] out string value) => names.Contains(value = text));

    public static TextFormat<T> Choice<T>() where T : struct, Enum
    {
        var names = Enum.GetNames<T>().Select(name => name.ToLowerInvariant()).ToArray();
        return new(string.Join('|', names), $"one of {string.Join(", ", names)}", (string text, out T value) =>
        {
            // Enum.TryParse alone would take numbers.
            value = default;
            return names.Contains(text) && Enum.TryParse(text, ignoreCase: true, out value);
        });
    }

    /// <summary>Null is <c>auto</c>.</summary>
    public static TextFormat<KvFormat?> KvFormat { get; } = new("auto|bf16|int8|f32", "one of auto, bf16, int8, f32", (string text, out KvFormat? value) =>
    {
        value = text switch { "bf16" => Kernels.KvCache.KvFormat.Bf16, "int8" => Kernels.KvCache.KvFormat.Int8, "f32" => Kernels.KvCache.KvFormat.Float32, _ => null };
        return value is not null || text == "auto";
    });

    public static TextFormat<PlanRequest> Plan { get; } =
        new("auto|whole|sliced|FILE", "auto, whole, sliced or an existing plan file", (string text, [MaybeNullWhen(false)] out PlanRequest plan) =>
        {
            plan = PlanRequest.Parse(text);
            return plan.Kind != PlanKind.File || File.Exists(text);
        });

    /// <summary>The same for a setting that may be left out.</summary>
    public static TextFormat<T?> Optional<T>(TextFormat<T> format) where T : struct => new(format.Placeholder, format.Allowed, (string text, out T? value) =>
    {
        var good = format.TryParse(text, out var parsed);
        value = good ? parsed : null;
        return good;
    });

    private static TextFormat<T> Number<T>(string placeholder, NumberStyles styles, string kind, T min, T max) where T : struct, INumber<T>, IMinMaxValue<T> =>
        new(placeholder, max == T.MaxValue ? $"{kind} of {min} or more" : $"{kind} from {min} to {max}",
            (string text, out T value) => T.TryParse(text, styles, CultureInfo.InvariantCulture, out value) && value >= min && value <= max);

    private static bool NotEmpty(string text, out string value)
    {
        value = text;
        return text.Length > 0;
    }
}
