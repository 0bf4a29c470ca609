using Grok1Cluster.Model.Checkpoints.Pickle;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Checkpoints;

/// <summary>
/// The official release: <c>ckpt-0/tensorNNNNN_000</c>, one pickle a file, with an optional <c>config.json</c> (without one: the
/// config of the 314B release) and an optional <c>tokenizer.model</c> beside the folder. The format has no checksums, so
/// what can be checked is checked: the set of files, types, shapes and lengths at <see cref="Open(string)"/> (a few pages of each file),
/// values by <see cref="SourceTensor.CheckValues()"/>.
/// </summary>
public sealed class Ckpt0Checkpoint : ICheckpoint
{
    private const string FolderName = "ckpt-0";
    private const int MaxNamesInMessage = 5;

    private readonly string _folder;
    private readonly Ckpt0Layout _layout;

    private Ckpt0Checkpoint(string folder, string? configPath, string? tokenizerPath)
    {
        _folder = folder;
        TokenizerPath = tokenizerPath;
        Config = configPath is null ? new Grok1Config() : Grok1ConfigFile.Load(configPath);
        _layout = new Ckpt0Layout(Config);
        string?[] beside = [configPath, tokenizerPath];
        Files = [.. beside.OfType<string>(), .. _layout.FileNames.Select(name => Path.Combine(folder, name))];
    }

    public Grok1Config Config { get; }

    public string? TokenizerPath { get; }

    public IReadOnlyList<string> Files { get; }

    /// <summary>Whether <paramref name="directory"/> is, or contains, a <c>ckpt-0</c> folder.</summary>
    public static bool IsAt(string directory) => FindFolder(directory) is not null;

    /// <summary>Opens the checkpoint and checks every tensor's header against the config.</summary>
    /// <param name="directory">A directory with <c>ckpt-0/</c> in it, or <c>ckpt-0</c> itself.</param>
    /// <exception cref="ModelException">Not such a checkpoint, or one that is incomplete or damaged; one line that names the file.</exception>
    public static Ckpt0Checkpoint Open(string directory)
    {
        var folder = FindFolder(directory) ?? throw new ModelException($"{directory}: no {FolderName} folder with tensor files here");
        var root = Path.GetDirectoryName(folder)!;
        var checkpoint = new Ckpt0Checkpoint(folder, FindFile(root, "config.json"), FindFile(root, "tokenizer.model"));
        checkpoint.CheckFiles();
        foreach (var (role, layer) in checkpoint._layout.Tensors)
            checkpoint.Open(role, layer).Dispose();
        return checkpoint;
    }

    /// <inheritdoc/>
    public SourceTensor Open(TensorRole role, int layer)
    {
        if (role.IsPerLayer())
        {
            ArgumentOutOfRangeException.ThrowIfNegative(layer);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(layer, Config.LayerCount);
        }
        var tensor = OpenAlone(role, layer);
        try
        {
            if (role == TensorRole.ExpertUp)
                CheckGroupsMatch(tensor, layer);
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>Holds nothing open between tensors.</summary>
    public void Dispose()
    {
    }

    private static string? FindFolder(string directory)
    {
        if (directory.Length == 0)
            return null;
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        var inside = Path.Combine(full, FolderName);
        if (Directory.Exists(inside))
            return inside;
        return Path.GetFileName(full) == FolderName && Directory.Exists(full) ? full : null;
    }

    private static string? FindFile(string root, string name)
    {
        var path = Path.Combine(root, name);
        return Path.Exists(path) ? path : null;
    }

    private void CheckFiles()
    {
        HashSet<string> found;
        try
        {
            found = [.. Directory.EnumerateFileSystemEntries(_folder, "tensor*").Select(path => Path.GetFileName(path))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelException($"{_folder}: cannot be read: {Printable.OneLine(e.Message)}", e);
        }

        var errors = new List<string>();
        var expected = _layout.FileNames.ToArray();
        Report(errors, "missing", [.. expected.Where(name => !found.Contains(name))]);
        Report(errors, "unexpected", [.. found.Except(expected).Order(StringComparer.Ordinal)]);
        if (errors.Count > 0)
            throw new ModelException($"{_folder}: a model of {Config.LayerCount} layers has {expected.Length} tensor files; {string.Join("; ", errors)}; fetch the files again or correct num_hidden_layers in config.json");
    }

    private static void Report(List<string> errors, string what, string[] names)
    {
        if (names.Length == 0)
            return;
        var shown = string.Join(", ", names.Take(MaxNamesInMessage).Select(Printable.OneLine));
        errors.Add($"{what}: {shown}{(names.Length > MaxNamesInMessage ? $" and {names.Length - MaxNamesInMessage} more" : "")}");
    }

    private SourceTensor OpenAlone(TensorRole role, int layer)
    {
        var file = MappedFile.Open(Path.Combine(_folder, _layout.FileName(role, layer)));
        try
        {
            return Describe(role, layer, file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private unsafe SourceTensor Describe(TensorRole role, int layer, MappedFile file)
    {
        var pickled = TensorPickle.Read(file.Start, file.Length, file.Path);
        var name = role.Describe(layer);
        var (values, scales) = (pickled.Values, pickled.Scales);

        if (!role.IsQuantized())
        {
            if (scales is not null || values.Type != PickledType.Float32)
                throw Refuse($"{Kind(pickled)} where a float32 array is expected");
            CheckShape(values.Shape);
            return new SourceTensor(name, file, SourceFormat.Float32, values.Shape, values.Offset);
        }

        if (scales is null || values.Type != PickledType.Int8 || scales.Type != PickledType.BFloat16)
            throw Refuse($"{Kind(pickled)} where int8 weights with bfloat16 scales are expected");
        CheckShape(values.Shape);
        var rows = values.Shape[^2];
        var groups = scales.Shape.Count == values.Shape.Count ? scales.Shape[^2] : 0;
        if (groups == 0 || rows % groups != 0 || !scales.Shape.SequenceEqual([.. values.Shape.SkipLast(2), groups, values.Shape[^1]]))
            throw Refuse($"scales of shape {TensorShape.Describe(scales.Shape)} do not fit weights of shape {TensorShape.Describe(values.Shape)}: the last but one must divide {rows}, the others must be equal");
        return new SourceTensor(name, file, SourceFormat.Int8Scaled, values.Shape, values.Offset, scales.Offset, (int)groups);

        void CheckShape(IReadOnlyList<long> found)
        {
            var expected = role.Shape(Config);
            if (!found.SequenceEqual(expected))
                throw Refuse($"shape {TensorShape.Describe(found)} where the config says {TensorShape.Describe(expected)}");
        }

        ModelException Refuse(string what) => new($"{file.Path}: {name}: {what}; correct config.json or fetch the file again");
    }

    /// <summary>Gate and up columns lie side by side in a store, under the same groups of rows.</summary>
    private void CheckGroupsMatch(SourceTensor up, int layer)
    {
        using var gate = OpenAlone(TensorRole.ExpertGate, layer);
        if (gate.ScaleGroups != up.ScaleGroups)
            throw new ModelException($"{up.File}: {up.Name}: {up.ScaleGroups} scale groups where {gate.Name} has {gate.ScaleGroups}; fetch the files again from where they came from");
    }

    private static string Kind(PickledTensor tensor) =>
        tensor.Scales is null ? $"an array of {tensor.Values.Type}" : $"a quantised pair of {tensor.Values.Type} and {tensor.Scales.Type}";
}
