using System.CommandLine;
using System.Text.RegularExpressions;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests;

/// <summary>Command lines that people will copy, from the documentation and from help.</summary>
public sealed partial class DocumentedCommandTests
{
    [Fact]
    public void Every_documented_command_is_one_that_grok1_takes()
    {
        var commands = Documents().SelectMany(file => Blocks(File.ReadAllText(file)).SelectMany(InBlock).Select(command => (Where: Path.GetRelativePath(Repository.Root, file), Text: command)))
            .Concat(Examples(CommandLine.CreateRoot()).Select(command => (Where: "--help", Text: command))).Distinct().ToList();
        Assert.True(commands.Count > 80, $"{commands.Count} found");
        var problems = commands.SelectMany(command => Problems(command.Text).Select(problem => $"{command.Where}: {command.Text}: {problem}")).ToList();
        Assert.True(problems.Count == 0, string.Join('\n', problems));
    }

    private static IEnumerable<string> Problems(string command)
    {
        var words = Words().Matches(command).Select(word => word.Value.Trim('"', '\'')).Where(word => word != "...").ToArray();
        foreach (var error in CommandLine.CreateRoot().Parse(words[1..]).Errors)
            // Files of an example do not exist here.
            if (!error.Message.Contains("existing plan file"))
                yield return error.Message;
        if (words[1] == "worker" && Array.IndexOf(words, "--listen") is > 0 and var listen && !words[listen + 1].StartsWith("127.0.0.1", StringComparison.Ordinal)
            && !words.Contains("--tls") && !words.Contains("--insecure"))
            yield return "is refused without --tls or --insecure";
    }

    private static IEnumerable<string> Documents() =>
        Directory.EnumerateFiles(Path.Combine(Repository.Root, "docs"), "*.md", SearchOption.AllDirectories).Append(Path.Combine(Repository.Root, "README.md"));

    private static IEnumerable<string> Blocks(string text) => Fence().Matches(text).Select(block => block.Groups[1].Value);

    private static IEnumerable<string> InBlock(string block) => Command().Matches(block.Replace("\\\n", " ")).Select(command => Plain(command.Groups[1].Value));

    private static IEnumerable<string> Examples(Command command) =>
        (command is Verb verb ? verb.Examples : []).Where(example => example.StartsWith("grok1 ", StringComparison.Ordinal)).Select(example => Plain(Command().Match(example).Groups[1].Value))
        .Concat(command.Subcommands.SelectMany(Examples));

    /// <summary>As a shell would leave it: without comment, with something in the place of variables.</summary>
    private static string Plain(string command) => Variable().Replace(Comment().Replace(command, ""), name => name.Value == "$WORKERS" ? "node0:9050" : "0").Trim();

    [GeneratedRegex("^```[a-z]*\\n(.*?)^```", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex Fence();

    /// <summary>From where a shell would begin it to where it would end.</summary>
    [GeneratedRegex("(?:^|; |do |&& |\\$ )(?:\\./)?(grok1 +(?:\"[^\"\\n]*\"|'[^'\\n]*'|[^\\n;&|<>])+)", RegexOptions.Multiline)]
    private static partial Regex Command();

    [GeneratedRegex(" #.*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"\$\w+")]
    private static partial Regex Variable();

    [GeneratedRegex("\"[^\"]*\"|'[^']*'|\\S+")]
    private static partial Regex Words();
}
