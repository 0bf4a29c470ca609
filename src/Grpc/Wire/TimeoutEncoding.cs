using System.Globalization;

namespace Grok1Cluster.Grpc.Wire;

/// <summary>The value of <c>grpc-timeout</c>: at most eight digits and a unit (hours H, minutes M, seconds S, milliseconds m, microseconds u, nanoseconds n).</summary>
internal static class TimeoutEncoding
{
    private const long MaxValue = 99_999_999;
    private const int MaxDigits = 8;
    private const int NanosecondsPerTick = 100;

    /// <summary>In the finest unit that fits, rounded up so that the server never gives up before the client; at least 1 ns.</summary>
    public static string Encode(TimeSpan timeout)
    {
        if (timeout <= TimeSpan.Zero)
            return "1n";
        var ticks = timeout.Ticks;
        if (ticks <= MaxValue / NanosecondsPerTick)
            return Format(ticks * NanosecondsPerTick, 'n');
        foreach (var (unit, ticksPerUnit) in (ReadOnlySpan<(char, long)>)
            [('u', TimeSpan.TicksPerMicrosecond), ('m', TimeSpan.TicksPerMillisecond), ('S', TimeSpan.TicksPerSecond), ('M', TimeSpan.TicksPerMinute)])
            if (RoundUp(ticks, ticksPerUnit) is var value and <= MaxValue)
                return Format(value, unit);
        return Format(Math.Min(RoundUp(ticks, TimeSpan.TicksPerHour), MaxValue), 'H');
    }

    /// <summary>Reads a peer's value; false when it is malformed.</summary>
    public static bool TryDecode(string text, out TimeSpan timeout)
    {
        timeout = default;
        if (text.Length is < 2 or > MaxDigits + 1 || !long.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var value))
            return false;
        long? ticks = text[^1] switch
        {
            'H' => value * TimeSpan.TicksPerHour,
            'M' => value * TimeSpan.TicksPerMinute,
            'S' => value * TimeSpan.TicksPerSecond,
            'm' => value * TimeSpan.TicksPerMillisecond,
            'u' => value * TimeSpan.TicksPerMicrosecond,
            'n' => RoundUp(value, NanosecondsPerTick),
            _ => null,
        };
        timeout = new TimeSpan(ticks ?? 0);
        return ticks is not null;
    }

    private static long RoundUp(long value, long unit) => value / unit + (value % unit == 0 ? 0 : 1);

    private static string Format(long value, char unit) => value.ToString(CultureInfo.InvariantCulture) + unit;
}
