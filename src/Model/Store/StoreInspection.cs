using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Store;

/// <summary>What a path holds, for people (<see cref="StoreInspectionTable"/>) and as JSON. No weight is read.</summary>
public sealed record StoreInspection
{
    /// <summary><c>store</c>, or <c>ckpt-0</c> for a source that is not imported yet.</summary>
    public string Kind { get; init; } = "";

    /// <summary>The model's id: the name of its directory.</summary>
    public string Name { get; init; } = "";

    public string Path { get; init; } = "";

    /// <summary>Names the weights; null for a source.</summary>
    public string? Fingerprint { get; init; }

    public required Grok1Config Config { get; init; }

    /// <summary>int8, bfloat16 or float32.</summary>
    public required string ExpertWeights { get; init; }

    /// <inheritdoc cref="ExpertWeights"/>
    public required string DenseWeights { get; init; }

    /// <summary>Weight groups of the packed matrices; of a source, those its int8 import would have.</summary>
    public required StoreGroups Groups { get; init; }

    /// <summary>Hidden columns of an expert block: where slices may be cut.</summary>
    public required int ExpertBlockWidth { get; init; }

    public required int BlocksPerExpert { get; init; }

    /// <summary>Weights of the whole model.</summary>
    public required long Parameters { get; init; }

    /// <summary>Weights that one token meets.</summary>
    public required long ActiveParameters { get; init; }

    /// <summary>All files here.</summary>
    public long FileBytes { get; init; }

    /// <summary>The coordinator's tensors, whether held here or not.</summary>
    public required long DenseBytes { get; init; }

    /// <summary>All experts of the model, whether held here or not.</summary>
    public required long ExpertBytes { get; init; }

    public required long BytesPerExpert { get; init; }

    /// <summary>All experts of a layer.</summary>
    public required long ExpertBytesPerLayer { get; init; }

    /// <summary>Weights that the coordinator reads for one token alone: all but the embedding table, of which it reads a row.</summary>
    public required long DenseBytesPerToken { get; init; }

    /// <summary>Weights that the workers together read for one token alone.</summary>
    public required long ExpertBytesPerToken { get; init; }

    /// <summary>Whether the coordinator's tensors are here.</summary>
    public bool HoldsDense { get; init; }

    public long HeldBlocks { get; init; }

    public long TotalBlocks { get; init; }

    /// <summary>What is held of the experts, when that is neither everything nor nothing.</summary>
    public IReadOnlyList<HeldExpert> HeldExperts { get; init; } = [];

    /// <summary>Path of the tokenizer, or null: then only token ids can be used.</summary>
    public string? Tokenizer { get; init; }

    /// <summary>Inspects a model store, or a directory with <c>ckpt-0/</c>.</summary>
    /// <exception cref="ModelException">Neither, or one that is damaged.</exception>
    public static StoreInspection Of(string path)
    {
        if (path.Length > 0 && ModelStore.IsStore(path))
        {
            using var store = ModelStore.Open(path);
            return Of(store);
        }
        if (!Ckpt0Checkpoint.IsAt(path))
            throw new ModelException($"{path}: no model here: neither a model store ({StoreManifest.FileName}) nor a ckpt-0 folder");
        using var checkpoint = Ckpt0Checkpoint.Open(path);
        return Of(checkpoint, path);
    }

    private static StoreInspection Of(ModelStore store)
    {
        var manifest = store.Manifest;
        var experts = manifest.Experts;
        var held = experts.Sum(expert => (long)expert.BlockSha256.Count);
        var total = (long)store.ExpertLayout.Blocks.Count * store.Config.LayerCount * store.Config.ExpertCount;
        var described = Describe(store.Config, manifest.Groups, store.DenseLayout, store.ExpertLayout);
        return described with
        {
            Kind = "store",
            Name = store.Name,
            Path = store.Directory,
            Fingerprint = manifest.Fingerprint,
            FileBytes = new FileInfo(System.IO.Path.Combine(store.Directory, StoreManifest.FileName)).Length + StoreManifestRules.Files(manifest).Sum(file => file.Bytes),
            HoldsDense = manifest.Dense is not null,
            HeldBlocks = held,
            TotalBlocks = total,
            HeldExperts = held == total ? [] : [.. experts.Select(expert => Describe(store.ExpertLayout, expert))],
            Tokenizer = store.TokenizerPath,
        };
    }

    private static StoreInspection Of(Ckpt0Checkpoint checkpoint, string path)
    {
        var config = checkpoint.Config;
        var groups = StoreBuilder.SourceGroups(checkpoint, WeightFormat.Int8);
        using var dense = new DenseLayout(config, WeightFormat.Int8, groups);
        using var experts = new ExpertLayout(config, WeightFormat.Int8, groups.Gate, groups.Down, ExpertLayout.ChooseBlockWidth(config.FeedForwardDim));
        var full = StoreStaging.FullPath(path);
        var blocks = (long)experts.Blocks.Count * config.LayerCount * config.ExpertCount;
        return Describe(config, groups, dense, experts) with
        {
            Kind = "ckpt-0",
            Name = System.IO.Path.GetFileName(System.IO.Path.GetFileName(full) == "ckpt-0" ? System.IO.Path.GetDirectoryName(full)! : full),
            Path = full,
            FileBytes = checkpoint.Files.Sum(file => new FileInfo(file).Length),
            HoldsDense = true,
            HeldBlocks = blocks,
            TotalBlocks = blocks,
            Tokenizer = checkpoint.TokenizerPath,
        };
    }

    private static HeldExpert Describe(ExpertLayout layout, StoreExpert expert) => new(expert.Layer, expert.Expert,
        [.. StoreManifestRules.Runs(expert).Select(run => new[] { run.First * layout.BlockWidth, Math.Min(run.End * layout.BlockWidth, layout.FeedForwardDim) })]);

    /// <summary>All that follows from the layouts; what depends on the place is filled in by the callers.</summary>
    private static StoreInspection Describe(Grok1Config config, StoreGroups groups, DenseLayout dense, ExpertLayout experts)
    {
        var expert = experts.Bytes(0, experts.Blocks.Count);
        var embedding = dense.Plain(TensorRole.Embedding);
        var perExpert = 3L * config.EmbeddingDim * config.FeedForwardDim;
        var shared = dense.Tensors.Where(tensor => tensor.Role != TensorRole.Embedding || !tensor.IsPacked).Sum(tensor => (long)tensor.Rows * tensor.Columns);
        return new StoreInspection
        {
            Config = config,
            ExpertWeights = experts.Format.ToString().ToLowerInvariant(),
            DenseWeights = dense.Format.ToString().ToLowerInvariant(),
            Groups = groups,
            ExpertBlockWidth = experts.BlockWidth,
            BlocksPerExpert = experts.Blocks.Count,
            Parameters = shared + config.LayerCount * config.ExpertCount * perExpert,
            ActiveParameters = shared + config.LayerCount * config.ExpertsPerToken * perExpert,
            DenseBytes = dense.Bytes,
            ExpertBytes = config.LayerCount * config.ExpertCount * expert,
            BytesPerExpert = expert,
            ExpertBytesPerLayer = config.ExpertCount * expert,
            DenseBytesPerToken = dense.Bytes - embedding.WeightBytes + (long)config.EmbeddingDim * sizeof(float),
            ExpertBytesPerToken = config.LayerCount * config.ExpertsPerToken * expert,
        };
    }
}

/// <summary>What is held of one expert.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Expert">The expert.</param>
/// <param name="Columns">Runs of hidden columns, each [start, end).</param>
public sealed record HeldExpert(int Layer, int Expert, IReadOnlyList<int[]> Columns);
