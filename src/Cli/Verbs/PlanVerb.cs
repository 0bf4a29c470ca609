using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Prints the plan that a cluster would use, or checks a plan file.</summary>
internal static class PlanVerb
{
    public static Command Create()
    {
        var like = new FormattedOption<string>("--like", TextFormats.OneOf("grok-1"), null, "a published geometry; needs no weights");
        var model = new FormattedOption<string>("--model", TextFormats.Text("M"), null, "demo, a model store, or a directory with ckpt-0/");
        var workers = ClusterOptions.WorkersOption(min: 1, defaultWorkers: 4);
        var plan = ClusterOptions.PlanOption();
        var file = new Option<FileInfo?>("--out") { Description = "write the plan here instead of to stdout", HelpName = "FILE" };

        var verb = new Verb("plan", "Print the plan for a model and a number of workers, or check a plan file.",
            "grok1 plan --model demo --workers 4",
            "grok1 plan --like grok-1 --workers 8 --out plan.json",
            "grok1 plan --like grok-1 --plan plan.json    # checks that the file fits") { like, model, workers, plan, file };
        verb.Validators.Add(result =>
        {
            if (new Option[] { like, model }.Count(option => result.GetResult(option) is not null) != 1)
                result.AddError("give one of --like and --model");
        });
        verb.Runs((context, _) =>
        {
            var geometry = context.Get(model) is { } name ? GeometryOf(context.LocateModel(name)) : Grok1Geometry();
            var made = Make(context, geometry, context.Get(plan), context.Get(workers));
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
        return new PlanGeometry("grok-1", config.LayerCount, config.ExpertCount, config.FeedForwardDim, ExpertLayout.ChooseBlockWidth(config.FeedForwardDim));
    }

    /// <summary>Of a store, or of the store that an import would make: planning needs no weights.</summary>
    private static PlanGeometry GeometryOf(string directory)
    {
        var model = StoreInspection.Of(directory);
        return new PlanGeometry(model.Name, model.Config.LayerCount, model.Config.ExpertCount, model.Config.FeedForwardDim, model.ExpertBlockWidth);
    }
}
