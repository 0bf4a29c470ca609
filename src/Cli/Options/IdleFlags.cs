using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Verbs;

namespace Grok1Cluster.Cli.Options;

/// <summary>
/// Flags that would do nothing beside the others: whoever typed one expects something of it, so it is refused. Settings of the
/// environment and of a config file are for many commands, and may go unused.
/// </summary>
internal static class IdleFlags
{
    /// <summary>Refuses those of the flags that the command line has.</summary>
    /// <param name="idle">Whether they would do nothing.</param>
    /// <param name="why">Ends the sentence that begins with the flag, and says what to do.</param>
    /// <exception cref="UsageException">The first that is given.</exception>
    public static void RefuseIdle(this VerbContext context, bool idle, string why, params IEnumerable<Option> flags)
    {
        if (idle && flags.FirstOrDefault(context.IsGiven) is { } flag)
            throw new UsageException($"{flag.Name}: {why}");
    }
}
