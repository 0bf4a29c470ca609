using System.CommandLine;

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
            : $"{string.Join("; ", Problems(parsed))} (see: grok1 {command.Name} --help)");
    }

    private static string Verb(ParseResult parsed) => parsed.UnmatchedTokens is [var first, ..] ? $"no such verb: {first}" : "a verb is missing";

    private static IEnumerable<string> Problems(ParseResult parsed) => parsed.Errors.Select(error => error.Message.TrimEnd('.')).Distinct();
}
