using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Prints the plan that a cluster of many machines would use, or checks a plan file.</summary>
internal static class PlanVerb
{
    public static Command Create()
    {
        var model = new PlannedModelOptions();
        var workers = ClusterOptions.WorkersOption(min: 1, defaultWorkers: 4);
        var plan = ClusterOptions.PlanOption();
        var target = ClusterOptions.ConcurrencyTargetOption();
        var copies = ClusterOptions.CopiesOption();
        var fleet = new FleetOptions();
        var file = new Option<FileInfo?>("--out") { Description = "write the plan here instead of to stdout", HelpName = "FILE" };

        var verb = new Verb("plan", "Print the plan for a model and a number of workers, or check a plan file.",
            "grok1 plan --model demo --workers 4",
            "grok1 plan --like grok-1 --workers 8 --out plan.json",
            "grok1 plan --like grok-1 --workers 16 --replicas 2 --out plan.json",
            "grok1 plan --like grok-1 --workers 3 --read-bandwidth 200GB,100GB,100GB --concurrency-target 8",
            "grok1 plan --like grok-1 --plan plan.json    # checks that the file fits");
        model.AddTo(verb);
        foreach (var option in new Option[] { workers, plan, target, copies, file })
            verb.Add(option);
        fleet.AddTo(verb);
        verb.Runs((context, _) =>
        {
            context.RefuseIdle(context.Get(plan).Kind == PlanKind.File, "a plan file is checked as it is; leave it out, or the file", [workers, target, copies, .. fleet.Flags]);
            var made = Make(context, model.Read(context), context.Get(plan), context.Get(workers), fleet, context.Get(target), context.Get(copies));
            Write(context, made, context.Get(file));
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    private static Plan Make(VerbContext context, PlannedModel model, PlanRequest request, int workers, FleetOptions fleet, int target, int copies)
    {
        // A plan file names its own workers.
        if (request.Kind == PlanKind.File)
            return PlanFile.Load(request.FilePath!, model.Geometry);
        var ids = WorkerIds.Numbered(workers);
        var plan = Planner.Create(request, model.Geometry, ids, new AutoInputs(model.Costs, fleet.Read(context, ids), target, Copies: copies));
        var idle = workers - plan.HoldingWorkers().Length;
        if (idle > 0)
            context.Output.Note($"{idle} of {workers} workers hold nothing: there are not more pieces");
        return plan;
    }

    private static void Write(VerbContext context, Plan plan, FileInfo? file)
    {
        if (file is null)
        {
            context.Output.WriteJson(plan);
            return;
        }
        try
        {
            PlanFile.Save(file.FullName, plan);
        }
        catch (Exception e) when (e is DirectoryNotFoundException or UnauthorizedAccessException)
        {
            throw new UsageException($"--out: {file} cannot be written: {e.Message}", e);
        }
        context.Output.Note($"plan of {plan.Bundles.Length} bundles on {plan.HoldingWorkers().Length} {(plan.HoldingWorkers().Length == 1 ? "worker" : "workers")}: {file.FullName}");
    }
}
