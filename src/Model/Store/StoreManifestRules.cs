using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Store;

/// <summary>What a manifest must satisfy before anything is sized by it or opened because of it.</summary>
internal static class StoreManifestRules
{
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
        foreach (var (name, count, length) in new[]
        {
            ("attentionInput", groups.AttentionInput, config.EmbeddingDim), ("attentionOutput", groups.AttentionOutput, config.QueryDim),
            ("head", groups.Head, config.EmbeddingDim), ("gate", groups.Gate, config.EmbeddingDim), ("down", groups.Down, config.FeedForwardDim),
        })
            if (count < 1 || length % count != 0)
                errors.Add($"{name} has {count} weight groups along an axis of {length}");
        if (manifest.ExpertBlockWidth is not (32 or 64 or 128))
            errors.Add($"expertBlockWidth is {manifest.ExpertBlockWidth}, allowed are 32, 64, 128");
        if (manifest.Fingerprint.Length != 64 || !manifest.Fingerprint.All(char.IsAsciiHexDigitLower))
            errors.Add("fingerprint is not a SHA-256 in lower-case hexadecimal");
        if (manifest.Dense is { File: not "dense.bin" })
            errors.Add("the dense file must be dense.bin");
        if (manifest.Tokenizer is { File: not "tokenizer.model" })
            errors.Add("the tokenizer must be tokenizer.model");
        if (errors.Count == 0)
            CheckExperts(manifest, errors);
        if (errors.Count > 0)
            throw new ModelException($"{path}: {string.Join("; ", errors)}; import the model again");
    }

    /// <summary>Tensors and lengths against the layout, lengths against the disk.</summary>
    /// <exception cref="ModelException">Names the file.</exception>
    public static void CheckFiles(ModelStore store)
    {
        var manifest = store.Manifest;
        if (manifest.Dense is { } dense)
        {
            CheckFile(store, dense, store.DenseLayout.Bytes);
            if (!manifest.Tensors.SequenceEqual(StoreWriter.DescribeTensors(store.DenseLayout), TensorComparer.Instance))
                throw new ModelException($"{store.Directory}: the tensors of the manifest are not those of its config; import the model again");
        }
        if (manifest.Tokenizer is { } tokenizer)
            CheckFile(store, tokenizer, tokenizer.Bytes);
        foreach (var expert in manifest.Experts)
            CheckFile(store, expert.File, Runs(expert).Sum(run => store.ExpertLayout.Bytes(run.First, run.End)));
    }

    public static IEnumerable<(int First, int End)> Runs(StoreExpert expert) => expert.FirstBlocks.Zip(expert.EndBlocks);

    private static void CheckFile(ModelStore store, StoreFile file, long expected)
    {
        var path = store.FilePath(file);
        if (file.Bytes != expected)
            throw new ModelException($"{path}: the manifest gives it {file.Bytes} bytes, its layout has {expected}; import the model again");
        var actual = ModelFile.Length(path);
        if (actual != expected)
            throw new ModelException($"{path}: has {actual} bytes, {expected} are expected; import the model again");
    }

    private static void CheckExperts(StoreManifest manifest, List<string> errors)
    {
        var config = manifest.Config;
        var blocks = (config.FeedForwardDim + manifest.ExpertBlockWidth - 1) / manifest.ExpertBlockWidth;
        var seen = new HashSet<(int, int)>();
        foreach (var expert in manifest.Experts)
        {
            var name = $"layer {expert.Layer} expert {expert.Expert}";
            if (expert.Layer < 0 || expert.Layer >= config.LayerCount || expert.Expert < 0 || expert.Expert >= config.ExpertCount)
                errors.Add($"{name} is outside the model");
            else if (!seen.Add((expert.Layer, expert.Expert)))
                errors.Add($"{name} occurs twice");
            else if (expert.File.File != ExpertFile(expert.Layer, expert.Expert))
                errors.Add($"{name} must be in {ExpertFile(expert.Layer, expert.Expert)}");
            else if (expert.FirstBlocks.Count != expert.EndBlocks.Count || !AreRuns(expert, blocks))
                errors.Add($"{name}: its runs of blocks are not ascending runs within 0 to {blocks}");
            else if (expert.BlockSha256.Count != Runs(expert).Sum(run => run.End - run.First))
                errors.Add($"{name}: has {expert.BlockSha256.Count} block hashes for {Runs(expert).Sum(run => run.End - run.First)} blocks");
            if (errors.Count >= 8)
                return;
        }
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
