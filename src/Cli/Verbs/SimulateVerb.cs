using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Costs;
using Grok1Cluster.Cluster.Plans;
using Spectre.Console;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Prints what the cost model predicts for machines that need not exist.</summary>
internal static class SimulateVerb
{
    public static Command Create()
    {
        var model = new PlannedModelOptions();
        var workers = ClusterOptions.WorkersOption(min: 1, defaultWorkers: 4);
        var plan = ClusterOptions.PlanOption();
        var fleet = new FleetOptions();
        var concurrency = new FormattedOption<int[]?>(
            "--concurrency", TextFormats.Counts(1, 4096), null, "sequences at a time, one row for each; --plan auto plans for each (default: 1,2,4,8,16,32)") { HelpName = "1,8" };
        var contextTokens = new FormattedOption<int>("--context", TextFormats.Count(0, 1 << 20), 1024, "positions that a token attends to");
        var prompt = new FormattedOption<int>("--prompt", TextFormats.Count(1, 1 << 20), 512, "tokens of a prompt, computed in one step");

        var verb = new Verb("simulate", "Predict steps and tokens a second of a cluster from the speed of its machines; nothing is measured.",
            "grok1 simulate --like grok-1 --workers 8",
            "grok1 simulate --like grok-1 --weights int4 --workers 8 --read-bandwidth 800GB --tera-ops 100 --worker-memory 23GB --plan whole",
            "grok1 simulate --model demo --workers 3 --read-bandwidth 20GB,10GB,10GB --json");
        model.AddTo(verb);
        foreach (var option in new Option[] { workers, plan, concurrency, contextTokens, prompt })
            verb.Add(option);
        fleet.AddTo(verb);
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            int[] counts = context.Get(concurrency) is { Length: > 0 } given ? given : [1, 2, 4, 8, 16, 32];
            context.RefuseIdle(context.Get(plan).Kind == PlanKind.File, "the plan file names the workers; leave it out, or the file", workers);
            var planned = model.Read(context);
            var request = context.Get(plan);
            // A plan file names its own workers.
            var file = request.Kind == PlanKind.File ? PlanFile.Load(request.FilePath!, planned.Geometry) : null;
            var ids = file is null ? WorkerIds.Numbered(context.Get(workers)) : file.HoldingWorkers();
            var inputs = new AutoInputs(planned.Costs, fleet.Read(context, ids), ContextTokens: context.Get(contextTokens));
            var rows = counts.Select(count => Predict(planned, request, file, ids, inputs with { ConcurrencyTarget = count }, context.Get(prompt))).ToList();
            var simulation = new Simulation(true, planned.Geometry.Model, ids.Count, request.ToString(), inputs.ContextTokens, context.Get(prompt), rows);
            if (context.Output.Json)
                context.Output.WriteJson(simulation);
            else
                context.Output.Write(Draw(simulation));
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    private static SimulatedLoad Predict(PlannedModel model, PlanRequest request, Plan? file, IReadOnlyList<string> ids, AutoInputs inputs, int prompt)
    {
        var choice = request.Kind == PlanKind.Auto ? Planner.Auto(model.Geometry, ids, inputs) : null;
        var plan = choice?.Plan ?? file ?? Planner.Create(request, model.Geometry, ids, inputs);
        StepPrediction Step(StepLoad load) => CostModel.Predict(plan, model.Geometry, inputs.Model, inputs.Fleet, load);
        var decode = Step(StepLoad.Decode(inputs.ConcurrencyTarget, inputs.ContextTokens));
        return new SimulatedLoad(
            inputs.ConcurrencyTarget, choice?.Cut,
            decode.TokensPerSecond, Step(StepLoad.Prefill(prompt)).TokensPerSecond,
            decode.StepSeconds, decode.CoordinatorSeconds, decode.WireSeconds, decode.ExpertSeconds,
            decode.WireSecondsPerLayer, decode.ExpertSecondsPerLayer, decode.TouchedExperts, decode.FanOut);
    }

    private static Table Draw(Simulation simulation)
    {
        var title = $"PREDICTION, not measured: {simulation.Model}, {simulation.Workers} workers, plan {simulation.Plan}, context {simulation.ContextTokens}\n"
            + $"a decode step, dense, wire and experts in ms; tokens a second of all sequences; prefill of {simulation.PromptTokens} tokens, tokens a second";
        var table = new Table { Title = new TableTitle(Markup.Escape(title)) };
        foreach (var column in new[]
        {
            "seq", "cut", "step ms", "dense", "wire", "experts", "fan-out", "tok/s", "prefill",
        })
            table.AddColumn(new TableColumn(column).RightAligned());
        foreach (var r in simulation.Results)
            table.AddRow(
                $"{r.Concurrency}", r.Cut is { } cut ? $"{cut}" : "-", $"{r.StepSeconds * 1e3:0.0}", $"{r.CoordinatorSeconds * 1e3:0.0}", $"{r.WireSeconds * 1e3:0.0}",
                $"{r.ExpertSeconds * 1e3:0.0}", $"{r.FanOut:0.0}", $"{r.DecodeTokensPerSecond:0.0}", $"{r.PrefillTokensPerSecond:0}");
        return table;
    }

    /// <param name="Prediction">Always true: no figure here was measured.</param>
    /// <param name="Plan">As asked for.</param>
    private sealed record Simulation(bool Prediction, string Model, int Workers, string Plan, int ContextTokens, int PromptTokens, IReadOnlyList<SimulatedLoad> Results);

    /// <param name="Cut">Workers that share an expert, where the planner chose; else null.</param>
    /// <param name="DecodeTokensPerSecond">Of all sequences together.</param>
    /// <param name="StepSeconds">A decode step of all layers, as the four that follow.</param>
    private sealed record SimulatedLoad(
        int Concurrency, int? Cut, double DecodeTokensPerSecond, double PrefillTokensPerSecond,
        double StepSeconds, double CoordinatorSeconds, double WireSeconds, double ExpertSeconds,
        double WireSecondsPerLayer, double ExpertSecondsPerLayer, double TouchedExperts, double FanOut);
}
