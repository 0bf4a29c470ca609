using Grok1Cluster.Cluster.Files;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>Plans on disk. See <see cref="PlanJson"/> for the format.</summary>
public static class PlanFile
{
    /// <summary>A plan of Grok-1 for 64 workers takes under 1 MB.</summary>
    public const int MaxBytes = 16 << 20;

    /// <summary>Reads a plan and checks that it covers the geometry exactly once.</summary>
    /// <param name="knownWorkers">When given, the only workers that the plan may name.</param>
    /// <exception cref="PlanException">
    /// The file cannot be read, is malformed (the first fault and its place are named), or does not fit (every fault is named).
    /// </exception>
    public static Plan Load(string path, PlanGeometry geometry, IReadOnlyCollection<string>? knownWorkers = null)
    {
        try
        {
            return PlanJson.Read(BoundedFile.Read(path, MaxBytes, "plan"), geometry, $"plan file {path}", knownWorkers);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PlanException($"plan file {path} cannot be read", e.Message, e);
        }
    }

    /// <summary>Writes aside and renames, so that a reader never sees half a plan. What is a link or a device is written to instead.</summary>
    public static void Save(string path, Plan plan)
    {
        if (LeadsElsewhere(path))
        {
            File.WriteAllBytes(path, PlanJson.Serialize(plan));
            return;
        }
        var aside = $"{path}.{Environment.ProcessId}.tmp";
        try
        {
            File.WriteAllBytes(aside, PlanJson.Serialize(plan));
            File.Move(aside, path, overwrite: true);
        }
        finally
        {
            File.Delete(aside);
        }
    }

    /// <summary>Whether a rename would replace what the path only leads to: a link, or a device such as <c>/dev/stdout</c>.</summary>
    private static bool LeadsElsewhere(string path) => new FileInfo(path).LinkTarget is not null || Path.GetFullPath(path).StartsWith("/dev/", StringComparison.Ordinal);
}
