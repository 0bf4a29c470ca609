using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// An opened model store. Opening checks everything that can be checked without reading weights: the manifest agrees with
/// the layout that follows from its config, and every file has its length. <see cref="StoreVerifier"/> reads the rest.
/// </summary>
public sealed class ModelStore : IDisposable
{
    private readonly Dictionary<(int Layer, int Expert), StoreExpert> _experts;

    private ModelStore(string directory, StoreManifest manifest)
    {
        Directory = directory;
        Manifest = manifest;
        DenseLayout = new DenseLayout(manifest.Config, manifest.DenseWeights, manifest.Groups);
        ExpertLayout = new ExpertLayout(manifest.Config, manifest.ExpertWeights, manifest.Groups.Gate, manifest.Groups.Down, manifest.ExpertBlockWidth);
        _experts = manifest.Experts.ToDictionary(expert => (expert.Layer, expert.Expert));
    }

    public string Directory { get; }

    /// <summary>The model's id: the name of its directory.</summary>
    public string Name => Path.GetFileName(Directory);

    public StoreManifest Manifest { get; }

    public Grok1Config Config => Manifest.Config;

    public DenseLayout DenseLayout { get; }

    public ExpertLayout ExpertLayout { get; }

    /// <summary>Path of the tokenizer, or null: then only token ids can be used.</summary>
    public string? TokenizerPath => Manifest.Tokenizer is { } file ? FilePath(file) : null;

    /// <summary>Whether a directory looks like a model store.</summary>
    public static bool IsStore(string directory) => File.Exists(Path.Combine(directory, StoreManifest.FileName));

    /// <exception cref="ModelException">Not a store, or one that is damaged.</exception>
    public static ModelStore Open(string directory)
    {
        var store = OpenManifest(directory);
        foreach (var file in StoreManifestRules.Files(store.Manifest))
            if (StoreManifestRules.FindProblem(store, file) is { } problem)
            {
                store.Dispose();
                throw new ModelException(problem);
            }
        return store;
    }

    /// <summary>Opens the manifest alone: the files that it names may be missing.</summary>
    /// <exception cref="ModelException">Not a store, or its manifest is damaged.</exception>
    internal static ModelStore OpenManifest(string directory)
    {
        if (directory.Length == 0 || !IsStore(directory))
            throw new ModelException($"{directory}: is not a model store (it has no {StoreManifest.FileName})");
        directory = StoreStaging.FullPath(directory);
        var manifest = StoreJson.ReadManifest(Path.Combine(directory, StoreManifest.FileName));
        StoreManifestRules.Check(directory, manifest);
        var store = new ModelStore(directory, manifest);
        try
        {
            StoreManifestRules.CheckLayout(store);
            return store;
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    public string FilePath(StoreFile file) => Path.Combine(Directory, file.File);

    /// <summary>The held blocks of an expert; null if none is held.</summary>
    public StoreExpert? Find(int layer, int expert) => _experts.GetValueOrDefault((layer, expert));

    /// <summary>Whether all blocks of a slice are held.</summary>
    public bool Holds(ExpertSlice slice) => Find(slice.Layer, slice.Expert) is { } entry && FindRun(entry, slice) >= 0;

    /// <summary>Maps the coordinator's tensors.</summary>
    /// <exception cref="ModelException">This store is a worker's share and has none.</exception>
    public DenseWeights OpenDense() => new(this, Manifest.Dense
        ?? throw new ModelException($"{Directory}: is a worker's share without attention and embedding; a coordinator needs a store with them (import without --tiles)"));

    /// <summary>Maps a slice of an expert.</summary>
    /// <exception cref="ModelException">It is not held.</exception>
    public ExpertTile OpenTile(ExpertSlice slice)
    {
        var entry = Find(slice.Layer, slice.Expert);
        var run = entry is null ? -1 : FindRun(entry, slice);
        if (run < 0)
            throw new ModelException($"{Directory}: does not hold columns [{slice.Start}, {slice.End}) of layer {slice.Layer} expert {slice.Expert}; import that share here");
        var offset = 0L;
        for (var r = 0; r < run; r++)
            offset += ExpertLayout.Bytes(entry!.FirstBlocks[r], entry.EndBlocks[r]);
        var (first, end) = ExpertLayout.BlockRange(slice.Start, slice.End);
        offset += ExpertLayout.Bytes(entry!.FirstBlocks[run], first);
        return new ExpertTile(ExpertLayout, slice, FilePath(entry.File), entry.File.Bytes, offset, first, end);
    }

    /// <summary>Checks the SHA-256 of every block of a tile, in the memory that is computed with.</summary>
    /// <exception cref="ModelException">One is not that of the manifest; the message names it.</exception>
    public void CheckTile(ExpertTile tile)
    {
        var entry = Find(tile.Slice.Layer, tile.Slice.Expert)!;
        var run = FindRun(entry, tile.Slice);
        // Hashes are those of the held blocks, run after run.
        var hash = tile.FirstBlock - entry.FirstBlocks[run];
        for (var before = 0; before < run; before++)
            hash += entry.EndBlocks[before] - entry.FirstBlocks[before];
        for (var block = tile.FirstBlock; block < tile.EndBlock; block++, hash++)
            if (StoreWriter.BlockHash(tile.Block(block)) != entry.BlockSha256[hash])
                throw new ModelException($"{FilePath(entry.File)}: block {block} (layer {tile.Slice.Layer} expert {tile.Slice.Expert}, columns from {ExpertLayout.Blocks[block].FirstColumn}) has another SHA-256 than in the manifest; import the model again, or copy this file anew");
    }

    public void Dispose()
    {
        DenseLayout.Dispose();
        ExpertLayout.Dispose();
    }

    private int FindRun(StoreExpert entry, ExpertSlice slice)
    {
        var (first, end) = ExpertLayout.BlockRange(slice.Start, slice.End);
        for (var run = 0; run < entry.FirstBlocks.Count; run++)
            if (entry.FirstBlocks[run] <= first && end <= entry.EndBlocks[run])
                return run;
        return -1;
    }
}
