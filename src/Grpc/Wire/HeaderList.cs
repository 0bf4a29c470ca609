namespace Grok1Cluster.Grpc.Wire;

/// <summary>A header block as a transport sends or received it: lower-case names, values as they travel.</summary>
internal sealed class HeaderList : List<KeyValuePair<string, string>>
{
    /// <summary>Appends a header.</summary>
    public void Add(string name, string value) => Add(KeyValuePair.Create(name, value));

    /// <summary>The first value of <paramref name="name"/>, or null.</summary>
    public string? Find(string name)
    {
        foreach (var (key, value) in this)
            if (key == name)
                return value;
        return null;
    }
}
