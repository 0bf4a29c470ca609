using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Cli.Verbs.Certs;
using Grok1Cluster.Cli.Verbs.Cluster;

namespace Grok1Cluster.Cli;

/// <summary>The whole command line: the verbs, how arguments are read, how a run ends.</summary>
internal static class CommandLine
{
    /// <summary>Layered below flags and environment; on every verb.</summary>
    public static readonly Option<FileInfo?> ConfigOption = new("--config")
    {
        Description = "settings in a JSON file: {\"cluster\": {\"workers\": 4}}",
        HelpName = "FILE",
        Recursive = true,
    };

    private static readonly (string Name, Func<Command> Create)[] Verbs =
    [
        ("run", RunVerb.Create), ("up", UpVerb.Create), ("serve", ServeVerb.Create), ("worker", WorkerVerb.Create), ("logits", LogitsVerb.Create), ("eval", EvalVerb.Create),
        ("bench", BenchVerb.Create), ("tokenize", TokenizeVerb.Create), ("import", ImportVerb.Create), ("inspect", InspectVerb.Create), ("verify", VerifyVerb.Create),
        ("synth", SynthVerb.Create), ("plan", PlanVerb.Create), ("simulate", SimulateVerb.Create), ("top", TopVerb.Create), ("cluster", ClusterVerb.Create),
        ("certs", CertsVerb.Create), ("cache", CacheVerb.Create), ("doctor", DoctorVerb.Create),
    ];

    /// <param name="only">
    /// The verb that is wanted: the others are not made then, which a process would feel at its start, because their code is compiled for
    /// that. Anything else makes all of them.
    /// </param>
    public static RootCommand CreateRoot(string? only = null)
    {
        var root = new RootCommand("Grok-1 on one coordinator and many expert workers.") { HelpName = "grok1" };
        root.Add(ConfigOption);
        var isVerb = Verbs.Any(verb => verb.Name == only);
        foreach (var (name, create) in Verbs)
            if (!isVerb || name == only)
                root.Add(create());
        // A prompt may begin with a bracket; directives are for debugging parsers.
        root.Directives.Clear();
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new VerbHelp((HelpAction)help.Action!);
        return root;
    }

    /// <summary>Runs one command line; every way to end it is an exit code of <see cref="ExitCodes"/>.</summary>
    public static async Task<int> RunAsync(string[] args, CancellationToken cancellation)
    {
        try
        {
            // A prompt may begin with @, so there are no response files.
            var parsed = CreateRoot(args.FirstOrDefault()).Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
            if (parsed.Errors.Count > 0 && parsed.Action is not { ClearsParseErrors: true })
                throw UsageException.Of(parsed);
            RefuseUnknownFlags(parsed);
            RefuseFlagsOfTheVerbAbove(parsed);
            var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
            return await parsed.InvokeAsync(configuration, cancellation);
        }
        catch (Exception e)
        {
            return ErrorReporter.Report(e, Console.Error, cancellation);
        }
    }

    /// <summary>A verb that has verbs below it and flags of its own, as <c>bench</c>, runs with these or runs one of those: the flags would be lost.</summary>
    private static void RefuseFlagsOfTheVerbAbove(ParseResult parsed)
    {
        for (var above = parsed.CommandResult.Parent as CommandResult; above is not null; above = above.Parent as CommandResult)
            if (above.Children.OfType<OptionResult>().FirstOrDefault(flag => flag is { Implicit: false, Option.Recursive: false }) is { } lost)
            {
                var (name, verb) = (lost.Option.Name, $"{above.Command.Name} {parsed.CommandResult.Command.Name}");
                throw new UsageException(parsed.CommandResult.Command.Options.Any(option => option.Name == name)
                    ? $"{name}: put it after {verb}"
                    : $"{name}: is a flag of {above.Command.Name}, {verb} has none of that name; leave it out (see: grok1 {verb} --help)");
            }
    }

    /// <summary>
    /// The library takes a flag that it does not know for an argument where one is free: a mistyped flag would become the
    /// prompt. After <c>--</c> everything is an argument.
    /// </summary>
    private static void RefuseUnknownFlags(ParseResult parsed)
    {
        if (parsed.Tokens.Any(token => token.Type == TokenType.DoubleDash))
            return;
        foreach (var token in parsed.CommandResult.Children.OfType<ArgumentResult>().SelectMany(argument => argument.Tokens))
            if (token.Value is ['-', var second, ..] && (second == '-' || char.IsAsciiLetter(second)))
                throw new UsageException($"{token.Value} is not a flag of {parsed.CommandResult.Command.Name}; put -- before an argument that begins with a dash (see: grok1 {parsed.CommandResult.Command.Name} --help)");
    }
}
