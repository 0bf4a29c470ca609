using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Store;

/// <summary>What <c>manifest.json</c> says of a model store. A store may hold only a share of the model.</summary>
public sealed record StoreManifest
{
    /// <summary>The layout this program reads and writes.</summary>
    public const int CurrentVersion = 1;

    /// <summary>The manifest's name in the store's directory.</summary>
    public const string FileName = "manifest.json";

    /// <summary>The largest manifest that is read.</summary>
    public const int MaxBytes = StoreJson.MaxManifestBytes;

    public required int Version { get; init; }

    /// <summary>
    /// Names the weights: SHA-256 over the config, the formats and all norms and routers of the source. All shares of one
    /// source have the same, and coordinator and workers compare it.
    /// </summary>
    public required string Fingerprint { get; init; }

    public required Grok1Config Config { get; init; }

    public required WeightFormat ExpertWeights { get; init; }

    public required WeightFormat DenseWeights { get; init; }

    /// <summary>Hidden columns of an expert block: where slices may be cut.</summary>
    public required int ExpertBlockWidth { get; init; }

    public required StoreGroups Groups { get; init; }

    /// <summary>The coordinator's tensors; null in a worker's share.</summary>
    public required StoreFile? Dense { get; init; }

    /// <summary>Every tensor of the dense file; empty without one.</summary>
    public required IReadOnlyList<StoreTensor> Tensors { get; init; }

    public required StoreFile? Tokenizer { get; init; }

    /// <summary>Every expert of which this store holds blocks.</summary>
    public required IReadOnlyList<StoreExpert> Experts { get; init; }

    /// <summary>What the model is, without a file of it: a store that holds nothing.</summary>
    public StoreManifest WithoutWeights() => this with { Dense = null, Tensors = [], Tokenizer = null, Experts = [] };

    /// <summary>Reads a manifest that came from elsewhere, and checks it as far as that can be done without its files.</summary>
    /// <param name="bytes">At most <see cref="MaxBytes"/>.</param>
    /// <param name="origin">Where they came from, for messages.</param>
    /// <exception cref="ModelException">Not a manifest this program can read, or one that breaks a rule.</exception>
    public static StoreManifest Parse(ReadOnlySpan<byte> bytes, string origin)
    {
        var manifest = StoreJson.ParseManifest(bytes, origin);
        StoreManifestRules.Check(origin, manifest);
        return manifest;
    }
}

/// <param name="File">Path below the store's directory, with forward slashes.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Sha256">Of the whole file, lower-case hexadecimal.</param>
public sealed record StoreFile(string File, long Bytes, string Sha256);

/// <summary>A tensor of the dense file, for people and other programs; a reader derives the same from the config.</summary>
public sealed record StoreTensor(string Name, IReadOnlyList<int> Shape, string Format, long Offset, long Bytes);

/// <param name="Layer">The layer.</param>
/// <param name="Expert">The expert.</param>
/// <param name="File">Its file: the held blocks in ascending order, nothing between them.</param>
/// <param name="FirstBlocks">First block of each run of held blocks, ascending.</param>
/// <param name="EndBlocks">One past the last block of each run.</param>
/// <param name="BlockSha256">Of each held block, in file order.</param>
public sealed record StoreExpert(
    int Layer, int Expert, StoreFile File, IReadOnlyList<int> FirstBlocks, IReadOnlyList<int> EndBlocks, IReadOnlyList<string> BlockSha256)
{
    /// <summary>Every held block with its hash, in file order.</summary>
    public IEnumerable<(BlockId Id, string Sha256)> Blocks() => FirstBlocks.Zip(EndBlocks)
        .SelectMany(run => Enumerable.Range(run.First, run.Second - run.First)).Zip(BlockSha256, (block, sha256) => (new BlockId(Layer, Expert, block), sha256));
}
