using Grok1Cluster.Coordinator.Dashboard;
using Grok1Cluster.Model;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Grok1Cluster.Cli.Output;

/// <summary>A cluster's status for a terminal.</summary>
internal static class StatusTable
{
    private const int ShownEvents = 5;
    private const int WideTerminal = 110;

    /// <summary>The workers' columns; on a narrow terminal those that matter most.</summary>
    private static readonly (string Name, bool OnlyWide, Func<WorkerStatus, string> Text)[] Columns =
    [
        ("worker", false, worker => Markup.Escape(worker.Id)),
        ("state", false, worker => worker.State switch
        {
            "ready" => "[green]ready[/]",
            "lost" => "[red]lost[/]",
            var state => $"[yellow]{Markup.Escape(state)}[/]",
        }),
        ("tiles", true, worker => $"{worker.Tiles}"),
        ("weights", true, worker => ByteSize.Format(worker.Bytes)),
        ("memory", false, worker => worker.MemoryBytes is { } memory ? ByteSize.Format(memory) : "-"),
        ("round trip", true, worker => Time(worker.RoundTripUs / 1e6)),
        ("calls/s", false, worker => $"{worker.CallsPerSecond:0}"),
        ("call", false, worker => Time(worker.CallMs / 1e3)),
        ("busy", false, worker => $"{100 * worker.BusyRatio:0} %"),
        ("straggler", false, worker => $"{100 * worker.StragglerRatio:0} %"),
    ];

    /// <param name="status">The cluster.</param>
    /// <param name="width">Characters of a line.</param>
    public static IRenderable Of(ClusterStatus status, int width)
    {
        var parts = new List<IRenderable> { new Markup(Title(status)) };
        if (status.Traffic is { } traffic)
            parts.Add(new Markup(Traffic(traffic)));
        if (status.Coverage is { } coverage)
            parts.Add(new Markup(coverage.Missing == 0 ? $"coverage  {coverage.Tiles} tiles, all held" : $"coverage  [red]{Markup.Escape(coverage.Description)}[/]"));
        if (status.Operation is { } operation)
            parts.Add(new Markup($"changing  [yellow]{Markup.Escape(operation.Operation)}[/]: {operation.Phase}, {ByteSize.Format(operation.DoneBytes)} of {ByteSize.Format(operation.TotalBytes)}"));
        if (status.Workers.Count > 0)
            parts.Add(Workers(status.Workers, width));
        parts.AddRange(status.Events.Take(ShownEvents).Select(entry => new Markup($"[dim]{entry.Time.ToLocalTime():HH:mm:ss}[/] {Markup.Escape(entry.Text)}")));
        return new Rows(parts);
    }

    private static string Title(ClusterStatus status)
    {
        var phase = status.Phase == "ready" ? "[green]ready[/]" : status.Phase == "loading" ? status.LoadedRatio < 1 ? $"[yellow]loading {100 * status.LoadedRatio:0} %[/]" : "[yellow]loaded, starting[/]" : $"[yellow]{status.Phase}[/]";
        var model = status.Model is { } m ? $"{Markup.Escape(m.Name)} ({m.Format}, {m.Precision}, {m.Layers} layers x {m.Experts} experts)" : "no model yet";
        return $"[bold]grok1 {status.Version}[/]  {phase}  {model}  up {TimeSpan.FromSeconds(Math.Floor(status.UptimeSeconds))}  coordinator {ByteSize.Format(status.Coordinator.MemoryBytes)}, {status.Coordinator.CpuCores:0.0} cores";
    }

    private static string Traffic(TrafficStatus traffic) =>
        $"tokens    {traffic.GenerationTokensPerSecond:0.0}/s generated, {traffic.PromptTokensPerSecond:0}/s prompt, {traffic.StepsPerSecond:0.0} steps/s\n" +
        $"requests  {traffic.Running} running, {traffic.Waiting} waiting; KV {traffic.KvBlocksUsed} of {traffic.KvBlocks} blocks\n" +
        $"latency   first token {Time(traffic.TtftP50)} (p95 {Time(traffic.TtftP95)}), per token {Time(traffic.TpotP50)} (p95 {Time(traffic.TpotP95)})";

    private static Table Workers(IReadOnlyList<WorkerStatus> workers, int width)
    {
        var columns = Columns.Where(column => width >= WideTerminal || !column.OnlyWide).ToList();
        var table = new Table { Border = TableBorder.Simple };
        foreach (var column in columns)
            table.AddColumn(column.Name, c => c.NoWrap().Alignment(column.Name is "worker" or "state" ? Justify.Left : Justify.Right));
        foreach (var worker in workers)
            table.AddRow([.. columns.Select(column => column.Text(worker))]);
        return table;
    }

    /// <summary>In the unit that leaves one to three digits before the point.</summary>
    private static string Time(double? seconds) => seconds switch
    {
        null => "-",
        < 1e-3 => $"{1e6 * seconds:0} us",
        < 1 => $"{1e3 * seconds:0.0} ms",
        _ => $"{seconds:0.0} s",
    };
}
