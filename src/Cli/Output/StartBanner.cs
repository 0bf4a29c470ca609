using Grok1Cluster.Coordinator;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Grok1Cluster.Cli.Output;

/// <summary>What somebody who has just started a cluster needs: what runs, whether it is whole, where it is, how to ask it.</summary>
internal static class StartBanner
{
    public static IRenderable Of(CoordinatorHost host, CoordinatorHostOptions options)
    {
        var session = host.Session;
        var config = session.Store.Config;
        var grid = new Grid().AddColumn(new GridColumn().NoWrap().PadRight(2)).AddColumn();
        Row("grok1", $"[bold]{Product.Version}[/]");
        Row("model", $"[bold]{Escape(session.Store.Name)}[/], {config.LayerCount} layers x {config.ExpertCount} experts, {session.Store.ExpertLayout.Format.ToString().ToLowerInvariant()} weights, {session.Options.Precision.ToString().ToLowerInvariant()} precision");
        Row("coverage", Coverage(session));
        Row("memory", $"{ByteSize.Format(session.Store.DenseLayout.Bytes)} here, {ByteSize.Format(Experts(session))} of experts {(session.Workers.Count == 0 ? "here" : $"in {session.Workers.Count} workers")}");
        Row("KV budget", $"{session.KvPool.Capacity} blocks of {KvBlockLayout.Tokens} tokens: {(long)session.KvPool.Capacity * KvBlockLayout.Tokens} tokens of all sequences together");
        Row("API", $"{host.Url}/v1");
        Row("chats", $"by the template {Escape(options.Api.Template.Name)}: this is a base model, it was never taught to chat");
        Row("dashboard", $"{host.AdminUrl ?? host.Url}/");
        Row("metrics", $"{host.AdminUrl ?? host.Url}/metrics");
        if (session.Options.WorkerAddresses.Count > 0)
            Row("workers", session.Options.Tls is { } tls ? $"[green]mutual TLS[/], this is {Escape(tls.Identity.ToString())}" : "in clear: whoever is on their network can read and alter what passes");
        // Without keys it listens on loopback only.
        Row("access", options.Api.Keys is { } keys ? $"{keys.Count} API keys" : "[red]open: no key is asked for[/], from this machine only");
        return new Rows(new Rule { Style = Style.Parse("dim") }, grid, new Text(Curl(host)), new Text("Ctrl-C ends it: running requests are finished first; a second Ctrl-C ends it at once."), new Rule { Style = Style.Parse("dim") });

        void Row(string name, string markup) => grid.AddRow(new Markup($"[dim]{name}[/]"), new Markup(markup));
    }

    private static string Coverage(ClusterSession session)
    {
        if (session.Plan is not { } plan)
            return "[green]every expert[/] in this process";
        var coverage = WorkerCoverage.Of(session);
        var tiles = plan.Bundles.Sum(bundle => bundle.Tiles.Length);
        return coverage.IsComplete
            ? $"[green]every tile is held[/]: {tiles} on {plan.HoldingWorkers().Length} of {session.Workers.Count} workers, plan epoch {plan.Epoch}"
            : $"[red]{Escape(coverage.Describe())}[/]";
    }

    private static long Experts(ClusterSession session) => session.Workers.Count > 0
        ? session.Workers.Sum(worker => worker.Description.Bytes)
        : (long)session.Store.Config.LayerCount * session.Store.Config.ExpertCount * session.Store.ExpertLayout.Bytes(0, session.Store.ExpertLayout.Blocks.Count);

    /// <summary>A line to paste; a model without a tokenizer takes ids.</summary>
    private static string Curl(CoordinatorHost host)
    {
        var prompt = host.Session.Tokenizer is null ? "[1, 2, 3]" : "\"My fellow Americans, \"";
        return $"curl {host.Url}/v1/completions -H 'Content-Type: application/json' -d '{{\"prompt\": {prompt}, \"max_tokens\": 40}}'";
    }

    private static string Escape(string text) => text.EscapeMarkup();
}
