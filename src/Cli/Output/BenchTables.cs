using Grok1Cluster.Coordinator.Bench;
using Spectre.Console;

namespace Grok1Cluster.Cli.Output;

/// <summary>A benchmark report for people.</summary>
internal static class BenchTables
{
    public static IEnumerable<Table> Draw(BenchmarkReport report)
    {
        yield return Engine(report);
        if (report.Wire.Count > 0)
            yield return Wire(report);
        if (report.Start is not null)
            yield return Starts(report.Start);
    }

    private static Table Engine(BenchmarkReport report)
    {
        var peak = report.Int8PeakGopS is { } gop ? $", int8 peak {gop / 1e3:0.00} Top/s" : "";
        var table = Table($"{report.Model}, {report.Weights}, {report.Precision}: {report.Machine!.Cpu}, {report.Machine.Cores} cores, read bandwidth {report.ReadBandwidthGbS:0.0} GB/s{peak}, load {report.Machine.LoadAverage:0.0}",
            "workers", "plan", "prompt", "prefill tok/s", "of peak", "seq", "decode tok/s", "of roofline", "MB/token", "experts", "dispatch us p50", "p99", "p99.9", "GiB");
        foreach (var r in report.Results)
            table.AddRow(
                $"{r.Workers}", r.Plan ?? "-", r.PrefillSequences > 1 ? $"{r.PrefillSequences} x {r.PromptTokens}" : $"{r.PromptTokens}", $"{r.PrefillTokensPerSecond:0.0}",
                r.PrefillPeakFraction is { } fraction ? $"{fraction:0.00}" : "-", $"{r.Concurrency}", $"{r.DecodeTokensPerSecond:0.0}", $"{r.RooflineFraction:0.00}",
                $"{r.WeightBytesPerToken / 1e6:0.0}", $"{r.ExpertsTouchedPerLayer:0.0}",
                Microseconds(r.DispatchP50Us), Microseconds(r.DispatchP99Us), Microseconds(r.DispatchP999Us), $"{r.MemoryPeakBytes / 1073741824.0:0.00}");
        return table;
    }

    private static Table Wire(BenchmarkReport report)
    {
        var table = Table("round trips of messages, microseconds", "over", "KiB", "peers", "p50", "p99", "p99.9", "bare p50", "bare p99", "GB/s each way", "cpu", "bare cpu", "cpu near", "bare near");
        foreach (var r in report.Wire)
            table.AddRow(
                r.Transport, $"{r.Bytes / 1024}", $"{r.FanOut}", $"{r.P50Us:0}", $"{r.P99Us:0}", $"{r.P999Us:0}", Microseconds(r.RawP50Us), Microseconds(r.RawP99Us),
                $"{r.GbSEachWay:0.00}", $"{r.CpuUs:0}", Microseconds(r.RawCpuUs), Microseconds(r.NearCpuUs), Microseconds(r.RawNearCpuUs));
        return table;
    }

    private static Table Starts(StartTimes start)
    {
        var table = Table("start, seconds until ready", "cold", "warm", "kept in cache");
        table.AddRow($"{start.ColdSeconds:0.0}", $"{start.WarmSeconds:0.0}", $"{start.KeptFraction:P0}");
        return table;
    }

    private static Table Table(string title, params string[] columns)
    {
        var table = new Table { Title = new TableTitle(Markup.Escape(title)) };
        foreach (var column in columns)
            table.AddColumn(new TableColumn(column).RightAligned());
        return table;
    }

    private static string Microseconds(double? value) => value is { } known ? $"{known:0}" : "-";
}
