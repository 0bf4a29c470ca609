using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Grok1Cluster.ExpertWorker.Faults;

/// <summary>
/// Faults as they are typed: <c>KIND[=VALUE][,after=N][,every=N][,times=N][,chance=P][,worker=ID]</c>, several joined by
/// <c>+</c>. A delay has a time (<c>200ms</c>, <c>2s</c>) or a factor (<c>10x</c>), a stall may have a time.
/// </summary>
public static class FaultText
{
    /// <summary>The grammar in one line.</summary>
    public const string Grammar = "delay=200ms|delay=10x|stall[=5s]|crash|corrupt|wrong|nan|shape|drop|internal, then ,after=N ,every=N ,times=N ,chance=P ,worker=ID; several joined by +";

    private static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    /// <summary>Reads one or several rules.</summary>
    /// <returns>False when any of it is not a fault.</returns>
    public static bool TryParse(string text, [MaybeNullWhen(false)] out FaultRule[] rules)
    {
        var parts = text.Split('+', StringSplitOptions.TrimEntries);
        rules = new FaultRule[parts.Length];
        for (var i = 0; i < parts.Length; i++)
        {
            if (ParseRule(parts[i]) is not { } rule)
                return false;
            rules[i] = rule;
        }
        return true;
    }

    /// <summary>The rule in the words of the grammar.</summary>
    public static string Describe(FaultRule rule)
    {
        var invariant = CultureInfo.InvariantCulture;
        var text = rule.Kind.ToString().ToLowerInvariant();
        text += rule.Time is { } time ? string.Create(invariant, $"={time.TotalMilliseconds:0.###}ms") : rule.Factor is { } factor ? string.Create(invariant, $"={factor}x") : "";
        text += rule.After > 0 ? $",after={rule.After}" : "";
        text += rule.Every > 1 ? $",every={rule.Every}" : "";
        text += rule.Times < long.MaxValue ? $",times={rule.Times}" : "";
        text += rule.Chance < 1 ? string.Create(invariant, $",chance={rule.Chance}") : "";
        return rule.Worker is null ? text : $"{text},worker={rule.Worker}";
    }

    private static FaultRule? ParseRule(string text)
    {
        var parts = text.Split(',', StringSplitOptions.TrimEntries);
        var (name, value) = Pair(parts[0]);
        if (name.Length == 0 || !char.IsAsciiLetter(name[0]) || !Enum.TryParse<FaultKind>(name, ignoreCase: true, out var kind))
            return null;
        var rule = WithValue(new FaultRule { Kind = kind, Times = kind == FaultKind.Stall ? 1 : long.MaxValue }, value);
        foreach (var part in parts.Skip(1))
            if (rule is not null)
                rule = WithCondition(rule, Pair(part));
        return rule;
    }

    private static FaultRule? WithValue(FaultRule rule, string? value) => (rule.Kind, value) switch
    {
        (FaultKind.Delay, { } text) when text.EndsWith('x') => Number(text[..^1]) is >= 1 and <= 1e6 and var factor ? rule with { Factor = factor } : null,
        (FaultKind.Delay or FaultKind.Stall, { } text) => Time(text) is { } time ? rule with { Time = time } : null,
        (FaultKind.Delay, null) => null,
        (_, null) => rule,
        _ => null,
    };

    private static FaultRule? WithCondition(FaultRule rule, (string Name, string? Value) condition) => condition switch
    {
        ("after", { } text) when Count(text, 0) is { } count => rule with { After = count },
        ("every", { } text) when Count(text, 1) is { } count => rule with { Every = count },
        ("times", { } text) when Count(text, 1) is { } count => rule with { Times = count },
        ("chance", { } text) when Number(text) is > 0 and <= 1 and var chance => rule with { Chance = chance },
        ("worker", { Length: > 0 } id) => rule with { Worker = id },
        _ => null,
    };

    private static (string Name, string? Value) Pair(string text) => text.IndexOf('=') is var at and >= 0 ? (text[..at], text[(at + 1)..]) : (text, null);

    private static TimeSpan? Time(string text)
    {
        var (number, unit) = text.EndsWith("ms", StringComparison.Ordinal) ? (text[..^2], 1e-3) : text.EndsWith('s') ? (text[..^1], 1.0) : ("", 0);
        return Number(number) is { } value && value >= 0 && value * unit <= Longest.TotalSeconds ? TimeSpan.FromSeconds(value * unit) : null;
    }

    private static double? Number(string text) => double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) ? number : null;

    private static long? Count(string text, long least) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count >= least ? count : null;
}
