using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Catalog;

/// <summary>
/// Turns what a user calls a model into a model store: <c>demo</c> (a directory of that name is <c>./demo</c>), a store, or a
/// directory with a source checkpoint, which is imported once into the cache. Nothing is written beside a source.
/// </summary>
/// <param name="note">Told in one line of everything that is done on the way.</param>
/// <param name="progress">Follows an import.</param>
public sealed class ModelCatalog(ModelPlaces places, Action<string> note, IProgress<StoreProgress>? progress)
{
    /// <summary>The model that ships with the project.</summary>
    public const string Demo = "demo";

    private const string TokenizerName = "tokenizer.model";

    /// <summary>The directory of a model, a store or a source. Nothing is imported.</summary>
    /// <returns>A full path.</returns>
    /// <exception cref="ModelException">No model there.</exception>
    public string Locate(string model)
    {
        if (model == Demo)
            return places.Demo is { } demo && ModelStore.IsStore(demo)
                ? Path.GetFullPath(demo)
                : throw new ModelException($"the demo model is not installed ({places.Demo ?? "no models/demo above the program"}); set {ModelPlaces.DemoVariable} to its store");
        if (model.Length > 0 && (ModelStore.IsStore(model) || Ckpt0Checkpoint.IsAt(model)))
            return StoreStaging.FullPath(model);
        throw new ModelException($"{model}: no model here; name a model store ({StoreManifest.FileName}), a directory with ckpt-0/, or {Demo}");
    }

    /// <summary>The store of a model, imported first where it has to be. Waits for another process that imports the same.</summary>
    /// <returns>A full path.</returns>
    /// <exception cref="ModelException">
    /// No model there, a source that is broken, or one whose store is too large for the cache: the message has the command that imports it.
    /// </exception>
    /// <exception cref="IOException">The cache cannot be written.</exception>
    public string FindStore(string model, CancellationToken cancel)
    {
        var directory = Locate(model);
        return ModelStore.IsStore(directory) ? directory : new ImportCache(places, note, progress).Import(directory, cancel);
    }

    /// <summary>The tokenizer of a model, or a <c>tokenizer.model</c> itself. Nothing is imported.</summary>
    /// <param name="model">As for <see cref="FindStore"/>, or a file, or any directory with a <c>tokenizer.model</c>.</param>
    /// <exception cref="ModelException">There is none.</exception>
    public string FindTokenizer(string model)
    {
        if (model != Demo && File.Exists(model))
            return model;
        var directory = model != Demo && Path.Exists(Path.Combine(model, TokenizerName)) ? model : Locate(model);
        // Beside the tensors of a source that is named by its ckpt-0 itself.
        string[] candidates = ModelStore.IsStore(directory) ? [directory] : [directory, Path.Combine(directory, "..")];
        return candidates.Select(place => Path.Combine(place, TokenizerName)).FirstOrDefault(Path.Exists)
            ?? throw new ModelException($"{directory}: has no {TokenizerName}, so text cannot be used; give token ids, or put the model's tokenizer there");
    }
}
