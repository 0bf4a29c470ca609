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

    /// <summary>Opens what a manifest says of the model, as a store that holds nothing, whatever else the manifest names.</summary>
    /// <exception cref="ModelException">The manifest is missing or damaged.</exception>
    public static ModelStore OpenWithoutWeights(string directory) => Open(directory, manifest => manifest.WithoutWeights());

    /// <summary>Opens the manifest alone: the files that it names may be missing.</summary>
    /// <exception cref="ModelException">Not a store, or its manifest is damaged.</exception>
    internal static ModelStore OpenManifest(string directory) => Open(directory, manifest => manifest);

    private static ModelStore Open(string directory, Func<StoreManifest, StoreManifest> part)
    {
        if (directory.Length == 0 || !IsStore(directory))
            throw new ModelException($"{directory}: is not a model store (it has no {StoreManifest.FileName}); grok1 import makes one of a source checkpoint");
        directory = StoreStaging.FullPath(directory);
        var manifest = StoreJson.ReadManifest(Path.Combine(directory, StoreManifest.FileName));
        StoreManifestRules.Check(directory, manifest);
        var store = new ModelStore(directory, part(manifest));
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

    /// <summary>Path of the file that an expert has in any store, below the store's directory.</summary>
    public static string ExpertFile(int layer, int expert) => StoreManifestRules.ExpertFile(layer, expert);

    /// <summary>Where an expert block is on disk, or null if it is not held.</summary>
    public StoredBlock? FindBlock(BlockId id)
    {
        if (Find(id.Layer, id.Expert) is not { } entry)
            return null;
        var (offset, index) = (0L, 0);
        for (var run = 0; run < entry.FirstBlocks.Count; run++)
        {
            var (first, end) = (entry.FirstBlocks[run], entry.EndBlocks[run]);
            if (id.Block >= first && id.Block < end)
                return new StoredBlock(
                    id, FilePath(entry.File), entry.File.Bytes, offset + ExpertLayout.Bytes(first, id.Block), ExpertLayout.Blocks[id.Block].Bytes, entry.BlockSha256[index + id.Block - first]);
            offset += ExpertLayout.Bytes(first, end);
            index += end - first;
        }
        return null;
    }

    /// <summary>Maps a slice of an expert.</summary>
    /// <exception cref="ModelException">It is not held.</exception>
    public ExpertTile OpenTile(ExpertSlice slice)
    {
        var (first, end) = ExpertLayout.BlockRange(slice.Start, slice.End);
        if (!Holds(slice))
            throw new ModelException($"{Directory}: does not hold columns [{slice.Start}, {slice.End}) of layer {slice.Layer} expert {slice.Expert}; import that share here");
        return OpenTile(FindBlock(new BlockId(slice.Layer, slice.Expert, first))!.Value, end);
    }

    /// <summary>Maps consecutive blocks of one expert, which follow one another in their file.</summary>
    /// <param name="first">The first of them, in any file.</param>
    /// <param name="endBlock">One past the last.</param>
    /// <exception cref="ModelException">The file cannot be read, or has another length.</exception>
    public ExpertTile OpenTile(StoredBlock first, int endBlock) => new(
        ExpertLayout, ExpertLayout.Slice(first.Id.Layer, first.Id.Expert, first.Id.Block, endBlock), first.Path, first.FileBytes, first.Offset, first.Id.Block, endBlock);

    /// <summary>Checks the SHA-256 of every block of a tile of this store, in the memory that is computed with.</summary>
    /// <exception cref="ModelException">One is not that of the manifest; the message names it.</exception>
    /// <exception cref="OperationCanceledException">Cancelled between two blocks.</exception>
    public void CheckTile(ExpertTile tile, CancellationToken cancel) => tile.Check([.. Enumerable.Range(tile.FirstBlock, tile.EndBlock - tile.FirstBlock)
        .Select(block => FindBlock(new BlockId(tile.Slice.Layer, tile.Slice.Expert, block))!.Value.Sha256)], cancel);

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
