namespace Grok1Cluster.Model.Store;

/// <summary>The place where a store shall be written is taken. A usage error: nothing is overwritten.</summary>
public sealed class StoreExistsException(string path)
    : IOException($"{path} exists already; remove it or name another place")
{
    public string Path { get; } = path;
}
