using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Grok1Cluster.Model.Layers;

/// <summary>What somebody asked to compute on: <c>cpu</c>, <c>cuda:N</c>, or <c>auto</c>, the first usable GPU and else the CPU.</summary>
/// <param name="Cuda">The GPU's number, or null.</param>
/// <param name="IsAuto">Whether the CPU will do where there is no GPU.</param>
public sealed record DeviceChoice(int? Cuda, bool IsAuto)
{
    private const string CudaPrefix = "cuda:";
    private const int MostDevices = 64;

    public static DeviceChoice Cpu { get; } = new(null, IsAuto: false);

    public static DeviceChoice Auto { get; } = new(0, IsAuto: true);

    public static bool TryParse(string text, [MaybeNullWhen(false)] out DeviceChoice choice)
    {
        choice = text switch
        {
            "cpu" => Cpu,
            "auto" => Auto,
            "cuda" => new DeviceChoice(0, IsAuto: false),
            _ => text.StartsWith(CudaPrefix, StringComparison.Ordinal)
                && int.TryParse(text.AsSpan(CudaPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number < MostDevices
                    ? new DeviceChoice(number, IsAuto: false)
                    : null,
        };
        return choice is not null;
    }

    public override string ToString() => IsAuto ? "auto" : Cuda is { } number ? $"{CudaPrefix}{number}" : "cpu";
}
