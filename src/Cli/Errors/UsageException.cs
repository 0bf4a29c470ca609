using System.CommandLine;
using System.CommandLine.Parsing;

namespace Grok1Cluster.Cli.Errors;

/// <summary>The command line, the environment or a config file asks for something that grok1 does not offer.</summary>
internal sealed class UsageException : Exception
{
    public UsageException(string message) : base(message) { }

    public UsageException(string message, Exception inner) : base(message, inner) { }

    /// <summary>All errors of a command line, and where to read what is allowed.</summary>
    public static UsageException Of(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var name = NameOf(parsed.CommandResult);
        // What does nothing by itself, as the root and `cluster`, wants one of the verbs below it.
        return new UsageException(command.Action is null
            ? $"{Verb(parsed, name)}; verbs are {string.Join(", ", command.Subcommands.Select(verb => verb.Name))} (see: grok1 {name}--help)"
            : $"{string.Join("; ", Problems(parsed))} (see: grok1 {name}--help)");
    }

    /// <summary>With the verbs that it stands below, and a space at the end: <c>certs issue </c>. Nothing for the root.</summary>
    private static string NameOf(CommandResult command) =>
        command.Command is RootCommand ? "" : $"{(command.Parent is CommandResult parent ? NameOf(parent) : "")}{command.Command.Name} ";

    private static string Verb(ParseResult parsed, string above) => parsed.UnmatchedTokens is [var first, ..] ? $"no such verb: {above}{first}" : "a verb is missing";

    private static IEnumerable<string> Problems(ParseResult parsed) => parsed.Errors.Select(error => error.Message.TrimEnd('.')).Distinct();
}
