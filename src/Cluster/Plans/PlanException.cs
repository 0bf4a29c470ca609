using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>A plan is malformed or does not fit the model. The message is one line; the command line ends with exit code 3.</summary>
public sealed class PlanException : Exception
{
    /// <summary>A wrong file can be wrong thousands of times; a line for people names the first ones and the count.</summary>
    private const int ProblemsInMessage = 10;

    /// <param name="subject">What is wrong, for example <c>plan file x.json does not fit model demo</c>.</param>
    /// <param name="problems">Everything found, one phrase each; never empty.</param>
    public PlanException(string subject, IReadOnlyCollection<string> problems) : base(Line(subject, problems)) =>
        Problems = [.. problems];

    public PlanException(string subject, string problem, Exception inner) : base(Line(subject, [problem]), inner) =>
        Problems = [problem];

    /// <param name="message">As another process said it.</param>
    public PlanException(string message) : base(message) => Problems = [message];

    public ImmutableArray<string> Problems { get; }

    /// <summary>Which of what was asked of a plan names nothing in it, such as <c>layer</c>; null: that is not what is wrong.</summary>
    public string? Argument { get; init; }

    private static string Line(string subject, IReadOnlyCollection<string> problems)
    {
        var more = problems.Count - ProblemsInMessage;
        return $"{subject}: {string.Join("; ", problems.Take(ProblemsInMessage))}{(more > 0 ? $"; and {more} more" : "")}";
    }
}
