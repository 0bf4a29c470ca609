using Grok1Cluster.Reliability.Bench.Clusters;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Reliability.Bench.Rows;

/// <summary>What rows share: what was asked for, the models, the right texts.</summary>
internal sealed class BenchContext(BenchOptions options, Action<string> note) : IDisposable
{
    /// <summary>Streams at a time, and requests that there are.</summary>
    public const int Clients = 4, Kinds = 8;

    private readonly Dictionary<string, IReadOnlyList<string>> _texts = [];
    private string? _temporary;
    private string? _operationsModel = options.OperationsModel;

    public BenchOptions Options => options;

    /// <summary>Told in a line what is being done.</summary>
    public Action<string> Note => note;

    /// <summary>Directory of the store of the rows about faults.</summary>
    public string Model { get; } = FindModel(options.Model);

    /// <summary>The store of the given name, or in the given directory.</summary>
    public static string FindModel(string given) => Directory.Exists(given) ? Path.GetFullPath(given) : Path.Combine(Repository.Root, "models", given);

    /// <summary>Directory of a store so large that moving a part of it takes seconds under the limit; made when it is first asked for.</summary>
    public async Task<string> OperationsModelAsync()
    {
        if (_operationsModel is not null)
            return _operationsModel;
        note("operations: 300 MB of random weights are made ...");
        _temporary = Directory.CreateTempSubdirectory("grok1-operations-").FullName;
        var path = Path.Combine(_temporary, "operations");
        var made = await Grok1Process.RunAsync("synth", path, "--embedding-dim", "1024", "--query-heads", "8", "--kv-heads", "2", "--feed-forward-dim", "4096", "--layers", "3", "--vocabulary", "4096");
        if (made.ExitCode != 0)
            throw new InvalidOperationException($"the model could not be made: {made.Error}");
        note("operations: made");
        return _operationsModel = path;
    }

    /// <summary>The right texts of a model, by kind: those of an undisturbed cluster.</summary>
    /// <param name="name">Of the model, and of what else texts depend on.</param>
    /// <param name="streams">To ask, where they are not known yet.</param>
    public async Task<IReadOnlyList<string>> TextsAsync(string name, Streams streams)
    {
        if (!_texts.TryGetValue(name, out var texts))
            _texts[name] = texts = await FaultSoak.ReferenceAsync(streams, Kinds);
        return texts;
    }

    /// <summary>The right texts of the rows about faults.</summary>
    public async Task<IReadOnlyList<string>> FaultTextsAsync()
    {
        const string name = "faults";
        if (_texts.TryGetValue(name, out var known))
            return known;
        using var undisturbed = await StartAsync("the undisturbed cluster", () => TestedCluster.StartAsync(new TestedClusterOptions { Model = Model }));
        using var streams = new Streams(undisturbed.Url, options.Tokens);
        return await TextsAsync(name, streams);
    }

    /// <summary>Starts a cluster, and once more where that failed: a busy machine may take too long about it.</summary>
    /// <param name="name">Whose cluster it is, for messages.</param>
    /// <param name="start">Leaves nothing behind where it fails.</param>
    public async Task<T> StartAsync<T>(string name, Func<Task<T>> start)
    {
        try
        {
            return await start();
        }
        catch (Exception e)
        {
            note($"{name}: no start, which is tried once more: {e.Message}");
        }
        return await start();
    }

    public void Dispose()
    {
        if (_temporary is not null)
            Directory.Delete(_temporary, recursive: true);
    }
}
