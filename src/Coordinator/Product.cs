namespace Grok1Cluster.Coordinator;

/// <summary>What this program is.</summary>
public static class Product
{
    /// <summary>Three numbers.</summary>
    public static string Version { get; } = typeof(Product).Assembly.GetName().Version?.ToString(3) ?? "";
}
