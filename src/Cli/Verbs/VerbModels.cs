using Grok1Cluster.Cli.Output;
using Grok1Cluster.Model.Catalog;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>How a verb finds the model that it was given.</summary>
internal static class VerbModels
{
    /// <summary>The model's store; a source checkpoint is imported to the user's cache, which is said on stderr.</summary>
    /// <inheritdoc cref="ModelCatalog.FindStore"/>
    public static string FindStore(this VerbContext context, string model, CancellationToken cancel)
    {
        using var progress = new StoreProgressBar("import", context.Output);
        return new ModelCatalog(ModelPlaces.FromEnvironment(), context.Output.Note, progress).FindStore(model, cancel);
    }

    /// <inheritdoc cref="ModelCatalog.Locate"/>
    public static string LocateModel(this VerbContext context, string model) => Catalog(context).Locate(model);

    /// <inheritdoc cref="ModelCatalog.FindTokenizer"/>
    public static string FindTokenizer(this VerbContext context, string model) => Catalog(context).FindTokenizer(model);

    private static ModelCatalog Catalog(VerbContext context) => new(ModelPlaces.FromEnvironment(), context.Output.Note, progress: null);
}
