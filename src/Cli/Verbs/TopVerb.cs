using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Cli.Verbs.Cluster;
using Grok1Cluster.Coordinator.Dashboard;
using Spectre.Console;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>A running cluster in the terminal, looked at once a second; printed once where no terminal is there to redraw.</summary>
internal static class TopVerb
{
    public static Command Create()
    {
        var flags = new CoordinatorFlags();
        var verb = new Verb("top", "Watch a running cluster: workers, throughput, latency, queue. `grok1 cluster status` prints the same once.",
            "grok1 top",
            "grok1 top --url http://10.0.0.1:8080");
        flags.AddTo(verb);
        verb.AddJson();
        verb.Runs(async (context, cancellation) =>
        {
            using var coordinator = flags.Open(context);
            var status = await coordinator.StatusAsync(cancellation);
            if (context.Output.Json)
                context.Output.WriteJson(status);
            else if (Console.IsOutputRedirected)
                context.Output.Write(StatusTable.Of(status, int.MaxValue));
            else
                await WatchAsync(coordinator, status, cancellation);
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static Task WatchAsync(CoordinatorClient coordinator, ClusterStatus status, CancellationToken cancellation) => AnsiConsole.Live(StatusTable.Of(status, AnsiConsole.Profile.Width)).StartAsync(async live =>
    {
        try
        {
            using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1));
            while (await timer.WaitForNextTickAsync(cancellation))
                live.UpdateTarget(StatusTable.Of(await coordinator.StatusAsync(cancellation), AnsiConsole.Profile.Width));
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Ctrl-C is how it ends.
        }
    });
}
