using System.Buffers;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Store;

/// <summary>What a manifest must satisfy before anything is sized by it or opened because of it.</summary>
internal static class StoreManifestRules
{
    private const int MaxErrors = 8;
    private static readonly SearchValues<char> Hexadecimal = SearchValues.Create("0123456789abcdef");

    /// <summary>Where an expert's blocks are; a manifest cannot point anywhere else.</summary>
    public static string ExpertFile(int layer, int expert) => $"experts/layer-{layer:00}-expert-{expert}.bin";

    /// <summary>Config, formats, groups and the list of experts.</summary>
    /// <exception cref="ModelException">Names every broken rule.</exception>
    public static void Check(string directory, StoreManifest manifest)
    {
        var path = Path.Combine(directory, StoreManifest.FileName);
        Grok1ConfigRules.Check(manifest.Config, path);
        var (config, groups) = (manifest.Config, manifest.Groups);
        var errors = new List<string>();
        var int4 = manifest.ExpertWeights == WeightFormat.Int4;
        foreach (var (name, count, length, fixedGroups) in new[]
        {
            ("attentionInput", groups.AttentionInput, config.EmbeddingDim, false), ("attentionOutput", groups.AttentionOutput, config.QueryDim, false),
            ("head", groups.Head, config.EmbeddingDim, false), ("gate", groups.Gate, config.EmbeddingDim, int4), ("down", groups.Down, config.FeedForwardDim, int4),
        })
            if (fixedGroups ? count != WeightFormats.Int4Groups(length) : count < 1 || length % count != 0)
                errors.Add($"{name} has {count} weight groups along an axis of {length}");
        if (manifest.DenseWeights == WeightFormat.Int4)
            errors.Add("denseWeights is int4, which only experts can be");
        if (manifest.ExpertBlockWidth is not (32 or 64 or 128))
            errors.Add($"expertBlockWidth is {manifest.ExpertBlockWidth}, allowed are 32, 64, 128");
        if (!IsSha256(manifest.Fingerprint))
            errors.Add("fingerprint is not a SHA-256 in lower-case hexadecimal");
        CheckName(manifest.Dense, "dense.bin", errors);
        CheckName(manifest.Tokenizer, "tokenizer.model", errors);
        if (errors.Count == 0)
            CheckExperts(manifest, errors);
        if (errors.Count > 0)
            throw new ModelException($"{path}: {string.Join("; ", errors)}; import the model again");
    }

    /// <summary>Tensors and lengths against the layout that follows from the config.</summary>
    /// <exception cref="ModelException">Names the file.</exception>
    public static void CheckLayout(ModelStore store)
    {
        var manifest = store.Manifest;
        if (manifest.Dense is { } dense)
            CheckBytes(store, dense, store.DenseLayout.Bytes);
        var tensors = manifest.Dense is null ? [] : StoreWriter.DescribeTensors(store.DenseLayout);
        if (!manifest.Tensors.SequenceEqual(tensors, TensorComparer.Instance))
            throw new ModelException($"{store.Directory}: the tensors of the manifest are not those of its config; import the model again");
        foreach (var expert in manifest.Experts)
            CheckBytes(store, expert.File, Runs(expert).Sum(run => store.ExpertLayout.Bytes(run.First, run.End)));
    }

    /// <summary>What is wrong with a file before it is read, or null: it is missing, or its length is another.</summary>
    public static string? FindProblem(ModelStore store, StoreFile file)
    {
        var path = store.FilePath(file);
        try
        {
            var actual = ModelFile.Length(path);
            return actual == file.Bytes ? null : $"{path}: has {actual} bytes, {file.Bytes} are expected; import the model again";
        }
        catch (ModelException e)
        {
            return $"{e.Message}; import the model again";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{path}: cannot be read: {Printable.OneLine(e.Message)}; import the model again";
        }
    }

    /// <summary>Every file of a manifest but the manifest itself.</summary>
    public static IEnumerable<StoreFile> Files(StoreManifest manifest) =>
        new[] { manifest.Dense, manifest.Tokenizer }.OfType<StoreFile>().Concat(manifest.Experts.Select(expert => expert.File));

    public static IEnumerable<(int First, int End)> Runs(StoreExpert expert) => expert.FirstBlocks.Zip(expert.EndBlocks);

    private static void CheckName(StoreFile? file, string name, List<string> errors)
    {
        if (file is null)
            return;
        if (file.File != name)
            errors.Add($"{Printable.OneLine(file.File)} must be {name}");
        else if (!IsSha256(file.Sha256))
            errors.Add($"{name}: its sha256 is not a SHA-256 in lower-case hexadecimal");
    }

    private static bool IsSha256(string? text) => text is { Length: 64 } && !text.AsSpan().ContainsAnyExcept(Hexadecimal);

    private static void CheckBytes(ModelStore store, StoreFile file, long expected)
    {
        if (file.Bytes != expected)
            throw new ModelException($"{store.FilePath(file)}: the manifest gives it {file.Bytes} bytes, its layout has {expected}; import the model again");
    }

    private static void CheckExperts(StoreManifest manifest, List<string> errors)
    {
        var config = manifest.Config;
        var blocks = (config.FeedForwardDim + manifest.ExpertBlockWidth - 1) / manifest.ExpertBlockWidth;
        var seen = new HashSet<(int, int)>();
        foreach (var expert in manifest.Experts)
        {
            if (FindError(expert, config, blocks, seen) is { } error)
                errors.Add(error);
            if (errors.Count >= MaxErrors)
                return;
        }
    }

    /// <summary>Lists of a manifest may hold nulls, which the JSON reader lets pass.</summary>
    private static string? FindError(StoreExpert? expert, Grok1Config config, int blocks, HashSet<(int, int)> seen)
    {
        if (expert is null)
            return "an expert is null";
        var name = $"layer {expert.Layer} expert {expert.Expert}";
        if (expert.Layer < 0 || expert.Layer >= config.LayerCount || expert.Expert < 0 || expert.Expert >= config.ExpertCount)
            return $"{name} is outside the model";
        if (!seen.Add((expert.Layer, expert.Expert)))
            return $"{name} occurs twice";
        if (expert.File.File != ExpertFile(expert.Layer, expert.Expert))
            return $"{name} must be in {ExpertFile(expert.Layer, expert.Expert)}";
        if (expert.FirstBlocks.Count != expert.EndBlocks.Count || !AreRuns(expert, blocks))
            return $"{name}: its runs of blocks are not ascending runs within 0 to {blocks}";
        var held = Runs(expert).Sum(run => run.End - run.First);
        if (expert.BlockSha256.Count != held)
            return $"{name}: has {expert.BlockSha256.Count} block hashes for {held} blocks";
        return IsSha256(expert.File.Sha256) && expert.BlockSha256.All(IsSha256) ? null : $"{name}: a hash is not a SHA-256 in lower-case hexadecimal";
    }

    private static bool AreRuns(StoreExpert expert, int blocks)
    {
        var last = -1;
        foreach (var (first, end) in Runs(expert))
        {
            if (first <= last || end <= first || end > blocks)
                return false;
            last = end;
        }
        return expert.FirstBlocks.Count > 0;
    }

    /// <summary>Shapes are lists, which records compare by reference.</summary>
    private sealed class TensorComparer : IEqualityComparer<StoreTensor>
    {
        public static readonly TensorComparer Instance = new();

        public bool Equals(StoreTensor? a, StoreTensor? b) =>
            a is not null && b is not null && a.Shape.SequenceEqual(b.Shape) && a with { Shape = b.Shape } == b;

        public int GetHashCode(StoreTensor tensor) => tensor.Name.GetHashCode();
    }
}
