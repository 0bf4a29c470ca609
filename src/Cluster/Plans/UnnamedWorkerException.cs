namespace Grok1Cluster.Cluster.Plans;

/// <summary>
/// A plan file gives a worker nothing: an id was mistyped, or the file is another cluster's. The message names the workers that it
/// has; the command line ends with exit code 2.
/// </summary>
public sealed class UnnamedWorkerException : Exception
{
    private const int NamesInMessage = 16;

    /// <param name="path">The plan file.</param>
    /// <param name="worker">The id that was looked for.</param>
    /// <param name="named">The workers that the plan has.</param>
    public UnnamedWorkerException(string path, string worker, IReadOnlyCollection<string> named) : base(Line(path, worker, named)) { }

    private static string Line(string path, string worker, IReadOnlyCollection<string> named)
    {
        var more = named.Count - NamesInMessage;
        return $"plan file {path} gives worker {worker} nothing; it has {string.Join(", ", named.Take(NamesInMessage))}{(more > 0 ? $" and {more} more" : "")}";
    }
}
