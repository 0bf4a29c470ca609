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
        return new UsageException(command is RootCommand
            ? $"{Verb(parsed)}; verbs are {string.Join(", ", command.Subcommands.Select(verb => verb.Name))} (see: grok1 --help)"
            : $"{string.Join("; ", Problems(parsed))} (see: grok1 {NameOf(parsed.CommandResult)} --help)");
    }

    /// <summary>With the verbs that it stands below: <c>certs issue</c>.</summary>
    private static string NameOf(CommandResult command) =>
        command.Parent is CommandResult { Command: not RootCommand } parent ? $"{NameOf(parent)} {command.Command.Name}" : command.Command.Name;

    private static string Verb(ParseResult parsed) => parsed.UnmatchedTokens is [var first, ..] ? $"no such verb: {first}" : "a verb is missing";

    private static IEnumerable<string> Problems(ParseResult parsed) => parsed.Errors.Select(error => error.Message.TrimEnd('.')).Distinct();
}
