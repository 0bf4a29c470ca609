namespace Grok1Cluster.Model.Store;

/// <summary>
/// Reads a whole model store and checks everything: the manifest's rules, every file's presence, length and SHA-256, every
/// expert block's SHA-256, every packed value, padding and scale (<see cref="PanelRules"/>), the tokenizer and its size.
/// Memory in use is an expert block a thread.
/// </summary>
public sealed class StoreVerifier
{
    /// <summary>Most problems that are listed.</summary>
    public const int MaxProblems = 100;

    private const string Advice = "import the model again";
    private readonly ModelStore _store;
    private readonly IProgress<StoreProgress>? _progress;
    private readonly long _total;
    private long _done;

    private StoreVerifier(ModelStore store, IProgress<StoreProgress>? progress)
    {
        (_store, _progress) = (store, progress);
        _total = StoreManifestRules.Files(store.Manifest).Sum(file => file.Bytes);
    }

    /// <summary>Verifies the store in a directory. What is wrong with it is returned, not thrown.</summary>
    /// <param name="directory">The store.</param>
    /// <param name="threads">Expert files read at a time.</param>
    /// <param name="progress">Told of bytes read; from several threads.</param>
    /// <param name="cancel">Ends the work between two blocks.</param>
    public static StoreVerification Verify(string directory, int threads, IProgress<StoreProgress>? progress, CancellationToken cancel)
    {
        ModelStore store;
        try
        {
            store = ModelStore.OpenManifest(directory);
        }
        catch (ModelException e)
        {
            return new StoreVerification(0, 0, [e.Message], 0);
        }
        using (store)
            return new StoreVerifier(store, progress).Run(threads, cancel);
    }

    private StoreVerification Run(int threads, CancellationToken cancel)
    {
        var manifest = _store.Manifest;
        var jobs = new List<(StoreFile File, Action<StoreFile, List<string>> Check)>();
        if (manifest.Tokenizer is { } tokenizer)
            jobs.Add((tokenizer, CheckTokenizer));
        if (manifest.Dense is { } dense)
            jobs.Add((dense, (file, problems) => CheckDense(file, problems, cancel)));
        foreach (var expert in manifest.Experts)
            jobs.Add((expert.File, (_, problems) => CheckExpert(expert, problems, cancel)));

        var found = new List<string>[jobs.Count];
        StoreWork.ForEach(jobs.Count, threads, cancel, i => found[i] = Check(jobs[i].File, jobs[i].Check));
        var problems = found.SelectMany(list => list).Concat(FindStrangers()).ToList();
        return new StoreVerification(jobs.Count + 1, _done, [.. problems.Take(MaxProblems)], Math.Max(0, problems.Count - MaxProblems));
    }

    private List<string> Check(StoreFile file, Action<StoreFile, List<string>> check)
    {
        var problems = new List<string>();
        if (StoreManifestRules.FindProblem(_store, file) is { } problem)
        {
            problems.Add(problem);
            return problems;
        }
        try
        {
            check(file, problems);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            problems.Add($"{_store.FilePath(file)}: cannot be read: {Printable.OneLine(e.Message)}; {Advice}");
        }
        catch (ModelException e)
        {
            problems.Add(e.Message);
        }
        return problems;
    }

    private void CheckTokenizer(StoreFile file, List<string> problems)
    {
        using (var reader = new HashedFileReader(_store.FilePath(file), Report))
        {
            reader.SkipTo(file.Bytes);
            CheckHash(file, reader, problems);
        }
        StoreBuilder.CheckTokenizer(_store.FilePath(file), _store.Config);
    }

    private void CheckDense(StoreFile file, List<string> problems, CancellationToken cancel)
    {
        using var reader = new HashedFileReader(_store.FilePath(file), Report);
        foreach (var tensor in _store.DenseLayout.Tensors)
        {
            reader.SkipTo(tensor.Offset);
            if (StoreValues.FindBroken(reader, tensor, cancel) is { } problem)
                problems.Add($"{_store.FilePath(file)}: {tensor.Name}: {problem}; {Advice}");
            reader.SkipTo(tensor.End);
        }
        CheckHash(file, reader, problems);
    }

    private void CheckExpert(StoreExpert expert, List<string> problems, CancellationToken cancel)
    {
        var layout = _store.ExpertLayout;
        var path = _store.FilePath(expert.File);
        var buffer = new byte[layout.Blocks.Max(block => block.Bytes)];
        var damaged = new List<int>();
        string? broken = null;
        using var reader = new HashedFileReader(path, Report);
        var held = StoreManifestRules.Runs(expert).SelectMany(run => Enumerable.Range(run.First, run.End - run.First)).ToArray();
        for (var i = 0; i < held.Length; i++)
        {
            cancel.ThrowIfCancellationRequested();
            var block = layout.Blocks[held[i]];
            var bytes = buffer.AsSpan(0, (int)block.Bytes);
            reader.Read(bytes);
            if (StoreWriter.BlockHash(bytes) != expert.BlockSha256[i])
                damaged.Add(held[i]);
            if (broken is null && StoreValues.FindBroken(layout, block, bytes) is { } problem)
                broken = $"{path}: block {held[i]} (hidden columns from {block.FirstColumn}): {problem}; {Advice}";
        }
        if (damaged.Count > 0)
            problems.Add($"{path}: {Describe(damaged, held.Length)}; {Advice}");
        else
            CheckHash(expert.File, reader, problems);
        if (broken is not null)
            problems.Add(broken);
    }

    private void CheckHash(StoreFile file, HashedFileReader reader, List<string> problems)
    {
        if (reader.Finish() != file.Sha256)
            problems.Add($"{_store.FilePath(file)}: its SHA-256 is not the one in the manifest; {Advice}");
    }

    /// <summary>One line for all damaged blocks of a file: 3, 5-7.</summary>
    private static string Describe(List<int> damaged, int held)
    {
        if (damaged.Count == held)
            return $"no block has its SHA-256 of the manifest ({held} blocks): this is another file";
        const int shown = 8;
        var runs = new List<(int First, int Last)>();
        foreach (var block in damaged)
            if (runs.Count > 0 && runs[^1].Last == block - 1)
                runs[^1] = (runs[^1].First, block);
            else
                runs.Add((block, block));
        var text = string.Join(", ", runs.Take(shown).Select(run => run.First == run.Last ? $"{run.First}" : $"{run.First}-{run.Last}"));
        return $"{damaged.Count} of {held} blocks have another SHA-256 than in the manifest: {text}{(runs.Count > shown ? ", ..." : "")}";
    }

    /// <summary>Files beside the experts that no manifest names; files beside the manifest, such as a model card, are welcome.</summary>
    private IEnumerable<string> FindStrangers()
    {
        var folder = new DirectoryInfo(Path.Combine(_store.Directory, "experts"));
        if (!folder.Exists)
            return [];
        var known = _store.Manifest.Experts.Select(expert => Path.GetFileName(expert.File.File)).ToHashSet();
        return folder.EnumerateFileSystemInfos().Select(entry => entry.Name).Where(name => !known.Contains(name)).Order(StringComparer.Ordinal)
            .Select(name => $"{Path.Combine(folder.FullName, Printable.OneLine(name))}: is not part of the store; remove it");
    }

    private void Report(long bytes)
    {
        var done = Interlocked.Add(ref _done, bytes);
        _progress?.Report(new StoreProgress(done, _total));
    }
}
