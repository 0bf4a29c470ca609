namespace Grok1Cluster.Model.Store;

/// <summary>Where the weights that every token reads are kept.</summary>
public enum WeightPages
{
    /// <summary>Copied when the kernel has huge pages and the share is large enough to gain from them.</summary>
    Auto,

    /// <summary>Copied from the files into anonymous memory, in huge pages where the kernel has them.</summary>
    Copied,

    /// <summary>The files' own pages, shared by every process that maps them.</summary>
    Mapped,
}

/// <summary>How weights are held in memory.</summary>
/// <param name="Pages">Copied or mapped.</param>
/// <param name="Locked">Whether they are locked, so that nothing is ever paged out.</param>
public sealed record WeightMemory(WeightPages Pages = WeightPages.Auto, bool Locked = false)
{
    private const long LeastAutoBytes = 64 << 20;
    private const string HugePagesFile = "/sys/kernel/mm/transparent_hugepage/enabled";

    /// <summary>Decides <see cref="WeightPages.Auto"/> for a share.</summary>
    /// <param name="bytes">All that this process holds.</param>
    public WeightMemory For(long bytes) =>
        Pages != WeightPages.Auto ? this : this with { Pages = bytes >= LeastAutoBytes && HasHugePages() ? WeightPages.Copied : WeightPages.Mapped };

    private static bool HasHugePages()
    {
        try
        {
            return File.Exists(HugePagesFile) && !File.ReadAllText(HugePagesFile).Contains("[never]", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
