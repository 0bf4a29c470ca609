using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Grok1Cluster.Cli.Settings;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>The library's help, then examples and the table from flags to settings.</summary>
internal sealed class VerbHelp(HelpAction usage) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        var result = usage.Invoke(parseResult);
        var (command, output) = (parseResult.CommandResult.Command, parseResult.InvocationConfiguration.Output);
        WriteExamples(command, output);
        WriteSettings(command, output);
        return result;
    }

    private static void WriteExamples(Command command, TextWriter output)
    {
        if (command is not Verb { Examples: [_, ..] examples })
            return;
        output.WriteLine("Examples:");
        foreach (var example in examples)
            output.WriteLine($"  {example}");
        output.WriteLine();
    }

    private static void WriteSettings(Command command, TextWriter output)
    {
        var settings = SettingNames.All(command).ToList();
        if (settings.Count == 0)
            return;
        output.WriteLine("Settings (first that is given: flag, environment, --config FILE, default):");
        var (flagWidth, variableWidth) = (settings.Max(s => s.Name.Length), settings.Max(s => SettingNames.Environment(s.Key).Length));
        foreach (var setting in settings)
            output.WriteLine($"  {setting.Name.PadRight(flagWidth)}  {SettingNames.Environment(setting.Key).PadRight(variableWidth)}  {setting.Key}");
        output.WriteLine();
    }
}
