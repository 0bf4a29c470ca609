using System.CommandLine;
using System.Text.Json;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Plans;
using Spectre.Console;

namespace Grok1Cluster.Cli.Verbs.Cluster;

/// <summary><c>grok1 cluster status|join|drain|move|rebalance|apply</c>: what operators do with a cluster that serves.</summary>
internal static class ClusterVerb
{
    public static Command Create() => new Verb("cluster", "Look at a running cluster and change it, while it serves.", "grok1 cluster status", "grok1 cluster drain worker-3")
    {
        Status(), Join(), Drain(), Move(), Rebalance(), Apply(),
    };

    private static Command Status()
    {
        var flags = new CoordinatorFlags();
        var verb = new Verb("status", "Workers, coverage and load of a running cluster, once.", "grok1 cluster status", "grok1 cluster status --url http://10.0.0.1:8080 --json");
        flags.AddTo(verb);
        verb.AddJson();
        verb.Runs(async (context, cancellation) =>
        {
            using var coordinator = flags.Open(context);
            var status = await coordinator.StatusAsync(cancellation);
            if (context.Output.Json)
                context.Output.WriteJson(status);
            else
                context.Output.Write(StatusTable.Of(status, Console.IsOutputRedirected ? int.MaxValue : AnsiConsole.Profile.Width));
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static Command Join()
    {
        var address = new Argument<string>("ADDRESS") { Description = "gRPC address of a worker that runs, as the coordinator reaches it" };
        return Change("join", "Take a worker in and give it its part of the weights.", context => ("join", Body(("address", context.Get(address)!))),
            ["grok1 cluster join 10.0.0.7:9050"], address);
    }

    private static Command Drain()
    {
        var worker = new Argument<string>("WORKER") { Description = "its id" };
        return Change("drain", "Give what a worker holds to the others, and end it.", context => ("drain", Body(("worker", context.Get(worker)!))),
            ["grok1 cluster drain worker-3"], worker);
    }

    private static Command Move()
    {
        var number = TextFormats.Optional(TextFormats.Count(0));
        var layer = new FormattedOption<int?>("--layer", number, null, "the bundle's layer") { Required = true };
        var bundle = new FormattedOption<int?>("--bundle", number, null, "its place among the bundles of the layer, as in /cluster/plan (default: 0)");
        var from = new Option<string>("--from") { Description = "worker that holds it", Required = true, HelpName = "ID" };
        var to = new Option<string>("--to") { Description = "worker that shall hold it", Required = true, HelpName = "ID" };
        return Change("move", "Give one bundle to another worker.",
            context => ("move", Body(("layer", context.Get(layer)!.Value), ("bundle", context.Get(bundle) ?? 0), ("from", context.Get(from)!), ("to", context.Get(to)!))),
            ["grok1 cluster move --layer 3 --bundle 1 --from worker-0 --to worker-2"], layer, bundle, from, to);
    }

    private static Command Rebalance() => Change("rebalance", "Make the plan anew for the workers that are connected.", _ => ("rebalance", "{}"), ["grok1 cluster rebalance"]);

    private static Command Apply()
    {
        var file = new Argument<FileInfo>("PLAN") { Description = "plan file, as from `grok1 plan` or /cluster/plan" };
        return Change("apply", "Take over a plan from a file.", context => ("apply", Read(context.Get(file)!)), ["grok1 cluster apply plan.json"], file);
    }

    private static Verb Change(string name, string description, Func<VerbContext, (string Path, string Body)> ask, IReadOnlyList<string> examples, params IReadOnlyList<Symbol> symbols)
    {
        var flags = new CoordinatorFlags();
        var verb = new Verb(name, $"{description} Requests go on meanwhile.", examples);
        foreach (var symbol in symbols)
            if (symbol is Option option)
                verb.Add(option);
            else
                verb.Add((Argument)symbol);
        flags.AddTo(verb);
        verb.AddJson();
        verb.Runs(async (context, cancellation) =>
        {
            var (path, body) = ask(context);
            using var coordinator = flags.Open(context);
            var progress = default(ByteProgress);
            try
            {
                var done = await coordinator.ChangeAsync(path, body, step =>
                {
                    if (step is { Phase: "holding", TotalBytes: > 0 })
                        (progress ??= context.Output.Progress("weights", step.TotalBytes)).Report(step.DoneBytes);
                }, cancellation);
                if (context.Output.Json)
                    context.Output.WriteJson(done);
                else
                    context.Output.Note($"{done.Operation}: done");
            }
            finally
            {
                progress?.Dispose();
            }
            return ExitCodes.Ok;
        });
        return verb;
    }

    private static string Body(params IReadOnlyList<(string Name, object Value)> fields) => JsonSerializer.Serialize(fields.ToDictionary(field => field.Name, field => field.Value));

    private static string Read(FileInfo file)
    {
        try
        {
            var plan = File.ReadAllText(file.FullName);
            // The coordinator looks at the rest, which knows the model but not the file's name.
            using var _ = JsonDocument.Parse(plan);
            return plan;
        }
        catch (JsonException e)
        {
            throw new PlanException($"plan file {file} is not JSON", e.Message, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"plan file {file}: {e.Message}");
        }
    }
}
