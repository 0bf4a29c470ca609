using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Model.Store;

/// <summary>A run of hidden columns of one expert, [Start, End): a tile as the store sees it.</summary>
public readonly record struct ExpertSlice(int Layer, int Expert, int Start, int End);

/// <summary>How a store is written.</summary>
public sealed record StoreBuildOptions
{
    /// <summary>Format of the experts, and of attention and the packed head but for int4.</summary>
    public WeightFormat Weights { get; init; } = WeightFormat.Int8;

    /// <summary>Format of attention and the packed head: int8 beside int4 experts, where four bits would cost most and save least.</summary>
    public WeightFormat DenseWeights => Weights == WeightFormat.Int4 ? WeightFormat.Int8 : Weights;

    /// <summary>The slices to hold, of a worker's share, without the coordinator's tensors; null: the whole model.</summary>
    public IReadOnlyList<ExpertSlice>? Slices { get; init; }

    /// <summary>Only the coordinator's tensors, no expert.</summary>
    public bool DenseOnly { get; init; }

    /// <summary>Experts written at a time.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;
}

/// <summary>What was written.</summary>
/// <param name="Files">Files, the manifest included.</param>
/// <param name="Bytes">Their length.</param>
/// <param name="ResumedBytes">How much of it an earlier, interrupted write had left.</param>
public sealed record StoreBuildResult(int Files, long Bytes, long ResumedBytes);

/// <summary>Makes a model store: from a checkpoint (<c>import</c>), or of random weights (<c>synth</c>).</summary>
public static class StoreBuilder
{
    /// <summary>Writes the store of a checkpoint, or the share of it that the options name.</summary>
    /// <exception cref="ModelException">Anything wrong in the checkpoint.</exception>
    /// <exception cref="StoreExistsException">The target exists.</exception>
    public static StoreBuildResult Import(ICheckpoint checkpoint, string target, StoreBuildOptions options, IProgress<StoreProgress>? progress, CancellationToken cancel)
    {
        StoreStaging.CheckFree(target);
        var config = checkpoint.Config;
        if (checkpoint.TokenizerPath is { } path)
            CheckTokenizer(path, config);
        var groups = SourceGroups(checkpoint, options.Weights);
        var sources = string.Join('|', checkpoint.Files.Select(file => new FileInfo(file)).Select(file => $"{file.Name}:{file.Length}:{file.LastWriteTimeUtc.Ticks}"));
        using var source = new CheckpointSource(checkpoint);
        return Build(source, config, groups, Fingerprint(checkpoint, options.Weights), sources, checkpoint.TokenizerPath, target, options, progress, cancel);
    }

    /// <summary>Writes random weights of a geometry.</summary>
    /// <exception cref="ModelException">The geometry breaks a rule.</exception>
    public static StoreBuildResult Synthesise(Grok1Config config, long seed, string target, StoreBuildOptions options, IProgress<StoreProgress>? progress, CancellationToken cancel)
    {
        StoreStaging.CheckFree(target);
        Grok1ConfigRules.Check(config, "synth");
        var quantised = options.Weights.IsQuantised();
        var groups = new StoreGroups(
            1, quantised && config.QueryDim % 8 == 0 ? 8 : 1, quantised ? DenseLayout.ChooseHeadGroups(config.EmbeddingDim) : 1,
            1, quantised && config.FeedForwardDim % 8 == 0 ? 8 : 1);
        if (options.Weights == WeightFormat.Int4)
            groups = WithInt4Experts(groups, config);
        var identity = $"synth:{seed}:{options.Weights}:{JsonSerializer.Serialize(config, StoreJson.Options)}";
        return Build(new SyntheticSource(seed), config, groups, Hash(Encoding.UTF8.GetBytes(identity)), identity, null, target, options, progress, cancel);
    }

    private static StoreBuildResult Build(
        IStoreSource source, Grok1Config config, StoreGroups groups, string fingerprint, string sourceIdentity, string? tokenizer,
        string target, StoreBuildOptions options, IProgress<StoreProgress>? progress, CancellationToken cancel)
    {
        using var dense = new DenseLayout(config, options.DenseWeights, groups);
        using var experts = new ExpertLayout(config, options.Weights, groups.Gate, groups.Down, ExpertLayout.ChooseBlockWidth(config.FeedForwardDim));
        var share = ChooseShare(config, experts, options);
        var writer = new StoreWriter(source, share, dense, experts, progress);
        var identity = $"{StoreManifest.CurrentVersion};{fingerprint};{sourceIdentity};{JsonSerializer.Serialize(share.Blocks.OrderBy(pair => pair.Key).Select(pair => new { pair.Key.Layer, pair.Key.Expert, Runs = pair.Value.Select(run => $"{run.First}-{run.End}") }))};{share.Dense}";
        StoreSpace.Check(target, StoreWriter.Bytes(share, dense, experts));

        using var staging = StoreStaging.Open(target, Hash(Encoding.UTF8.GetBytes(identity)));
        var resumed = staging.ResumedBytes;
        var (denseFile, expertFiles) = WriteFiles(writer, staging, options.Threads, cancel);
        var tokenizerFile = tokenizer is null || !share.Dense ? null : CopyTokenizer(staging, tokenizer);
        var manifest = new StoreManifest
        {
            Version = StoreManifest.CurrentVersion,
            Fingerprint = fingerprint,
            Config = config,
            ExpertWeights = options.Weights,
            DenseWeights = options.DenseWeights,
            ExpertBlockWidth = experts.BlockWidth,
            Groups = groups,
            Dense = denseFile,
            Tensors = writer.DescribeTensors(),
            Tokenizer = tokenizerFile,
            Experts = expertFiles,
        };
        staging.Complete(manifest);
        var files = expertFiles.Count + 1 + (denseFile is null ? 0 : 1) + (tokenizerFile is null ? 0 : 1);
        var bytes = new DirectoryInfo(StoreStaging.FullPath(target)).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
        return new StoreBuildResult(files, bytes, resumed);
    }

    /// <summary>A fault of the source makes what was staged useless: the source has to change, and then everything is written again.</summary>
    private static (StoreFile? Dense, IReadOnlyList<StoreExpert> Experts) WriteFiles(StoreWriter writer, StoreStaging staging, int threads, CancellationToken cancel)
    {
        try
        {
            return writer.Write(staging, threads, cancel);
        }
        catch (ModelException)
        {
            staging.Delete();
            throw;
        }
    }

    private static StoreShare ChooseShare(Grok1Config config, ExpertLayout experts, StoreBuildOptions options)
    {
        if (options.DenseOnly)
            return new StoreShare(true, new Dictionary<(int, int), IReadOnlyList<(int, int)>>());
        if (options.Slices is null)
            return StoreShare.Whole(config.LayerCount, config.ExpertCount, experts.Blocks.Count);
        foreach (var slice in options.Slices)
            if (slice.Layer < 0 || slice.Layer >= config.LayerCount || slice.Expert < 0 || slice.Expert >= config.ExpertCount)
                throw new ModelException($"layer {slice.Layer} expert {slice.Expert} is outside the model of {config.LayerCount} layers of {config.ExpertCount} experts; the plan is for another model");
        return new StoreShare(false, options.Slices.GroupBy(slice => (slice.Layer, slice.Expert)).ToDictionary(
            group => group.Key, group => Merge(group.Select(slice => experts.BlockRange(slice.Start, slice.End)))));
    }

    /// <summary>Runs in ascending order, touching and overlapping ones joined.</summary>
    private static IReadOnlyList<(int First, int End)> Merge(IEnumerable<(int First, int End)> runs)
    {
        var merged = new List<(int First, int End)>();
        foreach (var run in runs.Order())
            if (merged.Count > 0 && run.First <= merged[^1].End)
                merged[^1] = (merged[^1].First, Math.Max(merged[^1].End, run.End));
            else
                merged.Add(run);
        return merged;
    }

    internal static StoreGroups SourceGroups(ICheckpoint checkpoint, WeightFormat weights)
    {
        if (!weights.IsQuantised())
            return new StoreGroups(1, 1, 1, 1, 1);
        int Groups(TensorRole role)
        {
            using var first = checkpoint.Open(role, 0);
            for (var layer = 1; layer < checkpoint.Config.LayerCount; layer++)
            {
                using var tensor = checkpoint.Open(role, layer);
                if (tensor.ScaleGroups != first.ScaleGroups)
                    throw new ModelException($"{tensor.File}: {tensor.Name} has {tensor.ScaleGroups} scale groups, layer 0 has {first.ScaleGroups}; one number for all layers is supported");
            }
            return first.ScaleGroups;
        }
        var query = Groups(TensorRole.Query);
        foreach (var role in (ReadOnlySpan<TensorRole>)[TensorRole.Key, TensorRole.Value])
            if (Groups(role) != query)
                throw new ModelException($"{role} has {Groups(role)} scale groups, Query has {query}; query, key and value must agree");
        var gate = Groups(TensorRole.ExpertGate);
        if (Groups(TensorRole.ExpertUp) is var up && up != gate)
            throw new ModelException($"ExpertUp has {up} scale groups, ExpertGate has {gate}; they must agree");
        var groups = new StoreGroups(query, Groups(TensorRole.AttentionOutput), DenseLayout.ChooseHeadGroups(checkpoint.Config.EmbeddingDim), gate, Groups(TensorRole.ExpertDown));
        return weights == WeightFormat.Int4 ? WithInt4Experts(groups, checkpoint.Config) : groups;
    }

    private static StoreGroups WithInt4Experts(StoreGroups groups, Grok1Config config) => groups with
    {
        Gate = WeightFormats.Int4Groups(config.EmbeddingDim),
        Down = WeightFormats.Int4Groups(config.FeedForwardDim),
    };

    /// <summary>Norms and routers are small, differ in every model, and are at hand in every share.</summary>
    private static unsafe string Fingerprint(ICheckpoint checkpoint, WeightFormat weights)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(checkpoint.Config, StoreJson.Options));
        hash.AppendData(Encoding.UTF8.GetBytes(weights.ToString()));
        void Add(TensorRole role, int layer)
        {
            using var tensor = checkpoint.Open(role, layer);
            hash.AppendData(new ReadOnlySpan<byte>(tensor.Values, checked((int)tensor.ValueBytes)));
        }
        Add(TensorRole.FinalNorm, 0);
        for (var layer = 0; layer < checkpoint.Config.LayerCount; layer++)
            foreach (var role in (ReadOnlySpan<TensorRole>)[TensorRole.PreAttentionNorm, TensorRole.PostAttentionNorm, TensorRole.PreMoeNorm, TensorRole.PostMoeNorm, TensorRole.Router])
                Add(role, layer);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    internal static void CheckTokenizer(string path, Grok1Config config)
    {
        var size = SentencePieceTokenizer.Load(path).VocabularySize;
        if (size != config.VocabularySize)
            throw new ModelException($"{path}: has {size} pieces, the model's vocabulary has {config.VocabularySize}; use the tokenizer that belongs to the model");
    }

    private static StoreFile CopyTokenizer(StoreStaging staging, string path)
    {
        using var file = staging.Create("tokenizer.model");
        file.Write(File.ReadAllBytes(path));
        return file.Finish([]).File;
    }

    private static string Hash(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
