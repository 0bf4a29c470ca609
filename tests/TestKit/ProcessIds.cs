using System.Text.RegularExpressions;

namespace Grok1Cluster.TestKit;

/// <summary>Process ids as grok1 tells them: <c>worker-0 (process 32393)</c>.</summary>
public static partial class ProcessIds
{
    /// <returns>Those of a line, in its order.</returns>
    public static int[] In(string line) => [.. Pattern().Matches(line).Select(match => int.Parse(match.Groups[1].Value))];

    [GeneratedRegex(@"\(process (\d+)\)")]
    private static partial Regex Pattern();
}
