using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Prints the plan that a cluster would use, or checks a plan file.</summary>
internal static class PlanVerb
{
    /// <summary>Columns of an expert block in a model store of Grok-1's size.</summary>
    private const int Grok1BlockWidth = 256;

    public static Command Create()
    {
        var like = new FormattedOption<string>("--like", TextFormats.OneOf("grok-1"), null, "a published geometry; needs no weights") { Required = true };
        var workers = ClusterOptions.WorkersOption(min: 1, defaultWorkers: 4);
        var plan = ClusterOptions.PlanOption();
        var file = new Option<FileInfo?>("--out") { Description = "write the plan here instead of to stdout", HelpName = "FILE" };

        var verb = new Verb("plan", "Print the plan for a model and a number of workers, or check a plan file.",
            "grok1 plan --like grok-1 --workers 8 --plan whole",
            "grok1 plan --like grok-1 --workers 8 --out plan.json",
            "grok1 plan --like grok-1 --plan plan.json    # checks that the file fits") { like, workers, plan, file };
        verb.Runs((context, _) =>
        {
            var made = Make(context, Grok1Geometry(), context.Get(plan), context.Get(workers));
            Write(context, made, context.Get(file));
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    private static Plan Make(VerbContext context, PlanGeometry geometry, PlanRequest request, int workers)
    {
        // A plan file names its own workers.
        if (request.Kind == PlanKind.File)
            return PlanFile.Load(request.FilePath!, geometry);
        var plan = Planner.Create(request, geometry, WorkerIds.Numbered(workers));
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
        PlanFile.Save(file.FullName, plan);
        context.Output.Note($"plan of {plan.Bundles.Length} bundles on {plan.HoldingWorkers().Length} workers: {file.FullName}");
    }

    private static PlanGeometry Grok1Geometry()
    {
        var config = new Grok1Config();
        return new PlanGeometry("grok-1", config.LayerCount, config.ExpertCount, config.FeedForwardDim, Grok1BlockWidth);
    }
}
