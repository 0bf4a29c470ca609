using System.Diagnostics.CodeAnalysis;
using Grok1Cluster.Cli.Settings;

namespace Grok1Cluster.Cli.Options;

/// <summary>Which tiles an import writes: those of one worker of a plan, or none at all.</summary>
/// <param name="PlanPath">A plan file; empty for none.</param>
/// <param name="Worker">A worker of that plan; empty for none.</param>
internal sealed record TileSelection(string PlanPath, string Worker)
{
    public bool IsNone => PlanPath.Length == 0;

    public static TextFormat<TileSelection> Format { get; } =
        new("PLAN:WORKER|none", "none, or an existing plan file, a colon and a worker of it", TryParse);

    /// <summary>Paths and worker ids may have colons of their own: what counts is the first one behind an existing file.</summary>
    private static bool TryParse(string text, [MaybeNullWhen(false)] out TileSelection selection)
    {
        selection = text == "none" ? new TileSelection("", "") : null;
        for (var colon = text.IndexOf(':'); selection is null && colon >= 0; colon = text.IndexOf(':', colon + 1))
            if (colon + 1 < text.Length && File.Exists(text[..colon]))
                selection = new TileSelection(text[..colon], text[(colon + 1)..]);
        return selection is not null;
    }
}
