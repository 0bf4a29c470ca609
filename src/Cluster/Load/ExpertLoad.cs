namespace Grok1Cluster.Cluster.Load;

/// <summary>How many tokens each expert of each layer was given since the start. One thread counts, any thread reads.</summary>
public sealed class ExpertLoad(int layers, int experts, TimeProvider time)
{
    private readonly long[][] _counts = [.. Enumerable.Range(0, layers).Select(_ => new long[experts])];

    /// <summary>When counting began.</summary>
    public DateTimeOffset Since { get; } = time.GetUtcNow();

    /// <summary>Counts the choices of a layer's tokens.</summary>
    public void Add(int layer, ReadOnlySpan<int> chosen)
    {
        var counts = _counts[layer];
        foreach (var expert in chosen)
            Volatile.Write(ref counts[expert], counts[expert] + 1);
    }

    /// <summary>A copy, [layer][expert].</summary>
    public long[][] Snapshot() => [.. _counts.Select(layer => layer.Select((_, expert) => Volatile.Read(ref layer[expert])).ToArray())];
}
