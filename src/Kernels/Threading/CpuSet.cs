using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Grok1Cluster.Kernels.Threading;

/// <summary>Logical CPUs by number, written as Linux writes them: <c>0-3,8</c>.</summary>
public sealed record CpuSet(IReadOnlyList<int> Cpus)
{
    /// <summary>One more than the highest number there can be.</summary>
    public const int Limit = 1024;

    /// <summary>Reads a list such as <c>0-3,8</c>: ascending or not, each CPU once.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out CpuSet? set)
    {
        set = null;
        var cpus = new List<int>();
        foreach (var part in text.Trim().Split(','))
        {
            var ends = part.Split('-');
            if (ends.Length > 2 || !TryParseCpu(ends[0], out var first) || !TryParseCpu(ends[^1], out var last) || last < first)
                return false;
            cpus.AddRange(Enumerable.Range(first, last - first + 1));
        }
        if (cpus.Distinct().Count() != cpus.Count)
            return false;
        set = new CpuSet(cpus);
        return true;
    }

    public override string ToString() => string.Join(',', Cpus);

    private static bool TryParseCpu(string text, out int cpu) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out cpu) && cpu < Limit;
}
