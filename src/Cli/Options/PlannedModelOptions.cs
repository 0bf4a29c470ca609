using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Cluster.Costs;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Options;

/// <summary>A model as planning sees it; it needs no weights.</summary>
internal sealed record PlannedModel(PlanGeometry Geometry, ModelCosts Costs);

/// <summary><c>--like</c>, <c>--model</c> and <c>--weights</c> of the verbs that plan.</summary>
internal sealed class PlannedModelOptions
{
    /// <summary>Bits of a weight with its scales: 16 bits for 32 weights of int4; for int8 as in the release, 310.9 GB of experts for 309.2 billion weights.</summary>
    private static readonly Dictionary<string, double> WeightBits = new() { ["int4"] = 4.5, ["int8"] = 8.045, ["bf16"] = 16, ["f32"] = 32 };

    private readonly FormattedOption<string> _like = new("--like", TextFormats.OneOf("grok-1"), null, "a published geometry; needs no weights");
    private readonly FormattedOption<string> _model = new("--model", TextFormats.Text("M"), null, "demo, a model store, or a directory with ckpt-0/");
    private readonly FormattedOption<string> _weights = new("--weights", TextFormats.OneOf([.. WeightBits.Keys]), null, "with --like: format of the weights (default: int8)");

    public void AddTo(Command command)
    {
        command.Add(_like);
        command.Add(_model);
        command.Add(_weights);
        command.Validators.Add(result =>
        {
            if (new Option[] { _like, _model }.Count(option => result.GetResult(option) is not null) != 1)
                result.AddError("give one of --like and --model");
        });
    }

    /// <exception cref="UsageException"><c>--weights</c> for a model whose weights are what they are.</exception>
    public PlannedModel Read(VerbContext context)
    {
        if (context.Get(_model) is not { } name)
            return Grok1(WeightBits[context.Get(_weights) ?? "int8"]);
        if (context.Get(_weights) is not null)
            throw new UsageException("--weights goes with --like; a model has its format");
        var model = StoreInspection.Of(context.LocateModel(name));
        return Of(model.Name, model.Config, model.ExpertBlockWidth, StoreCosts.WeightBits(model.Config, model.BytesPerExpert));
    }

    private static PlannedModel Grok1(double weightBits)
    {
        var config = new Grok1Config();
        return Of("grok-1", config, ExpertLayout.ChooseBlockWidth(config.FeedForwardDim), weightBits);
    }

    private static PlannedModel Of(string name, Grok1Config config, int blockWidth, double weightBits) => new(
        new PlanGeometry(name, config.LayerCount, config.ExpertCount, config.FeedForwardDim, blockWidth),
        StoreCosts.Of(config, weightBits, Precision.Fast));
}
