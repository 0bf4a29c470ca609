using System.CommandLine;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Cli.Settings;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>
/// A verb of grok1. A verb is one file: a static <c>Create()</c> that names the flags, and what it runs. Faults are
/// exceptions; <see cref="Errors.ExitCodes"/> turns them into exit codes.
/// </summary>
internal sealed class Verb : Command
{
    private readonly Option<bool> _json = new("--json") { Description = "one JSON value on stdout, everything else on stderr" };

    /// <param name="examples">Whole command lines, shown in help.</param>
    public Verb(string name, string description, params IReadOnlyList<string> examples) : base(name, description) => Examples = examples;

    public IReadOnlyList<string> Examples { get; }

    /// <summary>Adds <c>--json</c>; the verb then asks <see cref="VerbContext.Output"/> what to print.</summary>
    public void AddJson() => Add(_json);

    /// <param name="run">Given the checked settings and a token that the first signal cancels; returns the exit code.</param>
    public void Runs(Func<VerbContext, CancellationToken, Task<int>> run) => SetAction((parsed, cancellation) =>
    {
        var output = new CommandOutput(Console.Out, Console.Error, Options.Contains(_json) && parsed.GetValue(_json));
        return run(new VerbContext(parsed, LayeredSettings.Load(parsed), output), cancellation);
    });
}

/// <summary>What a verb is given.</summary>
internal sealed class VerbContext(ParseResult parsed, LayeredSettings settings, CommandOutput output)
{
    /// <summary>Where results and notes go.</summary>
    public CommandOutput Output { get; } = output;

    /// <summary>From flag, environment, config file or default, checked.</summary>
    public T Get<T>(SettingOption<T> option) => settings.Get(option);

    /// <summary>Whether the command line has the flag.</summary>
    public bool IsGiven(Option option) => parsed.GetResult(option) is { Implicit: false };

    /// <summary>From the command line only.</summary>
    public T? Get<T>(Option<T> option) => parsed.GetValue(option);

    /// <summary>From the command line only.</summary>
    public T? Get<T>(Argument<T> argument) => parsed.GetValue(argument);
}
