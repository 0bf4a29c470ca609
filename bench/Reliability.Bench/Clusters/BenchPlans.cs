using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Reliability.Bench.Clusters;

/// <summary>Plans that do not depend on how fast workers are just now, so that every run has the same.</summary>
internal static class BenchPlans
{
    /// <summary>Whole experts, each bundle on the next workers in turn as well.</summary>
    /// <param name="model">Directory of a store.</param>
    /// <param name="workers">Called worker-0 and so on.</param>
    /// <param name="replicas">Workers that hold each bundle.</param>
    public static Plan Whole(string model, int workers, int replicas)
    {
        string[] ids = [.. WorkerIds.Numbered(workers)];
        var plan = Planner.Whole(Geometry(model), ids);
        return plan with
        {
            Bundles = [.. plan.Bundles.Select(bundle => bundle with
            {
                Workers = [.. Enumerable.Range(0, replicas).Select(next => ids[(Array.IndexOf(ids, bundle.Workers[0]) + next) % ids.Length])],
            })],
        };
    }

    /// <summary>Every worker has a slice of every expert.</summary>
    public static Plan Sliced(string model, int workers) => Planner.Sliced(Geometry(model), [.. WorkerIds.Numbered(workers)]);

    /// <summary>The same bundles; in each layer another one goes to a worker that came.</summary>
    public static Plan WithOneMore(Plan plan, string worker) => plan with
    {
        Bundles = [.. plan.Bundles.GroupBy(bundle => bundle.Layer).SelectMany(layer => layer.Select((bundle, index) =>
            index == layer.Key % layer.Count() ? bundle with { Workers = [worker] } : bundle))],
    };

    /// <summary>The same bundles; those of the first layer each at the worker that has the next one now.</summary>
    public static Plan Turned(Plan plan)
    {
        var layer = plan.Bundles.Where(bundle => bundle.Layer == plan.Bundles[0].Layer).ToList();
        return plan with { Bundles = [.. plan.Bundles.Select(bundle => layer.IndexOf(bundle) is var at and >= 0 ? bundle with { Workers = layer[(at + 1) % layer.Count].Workers } : bundle)] };
    }

    private static PlanGeometry Geometry(string model)
    {
        using var store = ModelStore.Open(model);
        return new PlanGeometry(store.Name, store.Config.LayerCount, store.Config.ExpertCount, store.Config.FeedForwardDim, store.ExpertLayout.BlockWidth);
    }
}
