using System.Text.Json;
using Grok1Cluster.Cli.Output;
using Spectre.Console;

namespace Grok1Cluster.Cli.Tests;

public sealed class CommandOutputTests
{
    private readonly StringWriter _output = new();
    private readonly StringWriter _error = new();

    [Fact]
    public void With_json_stdout_gets_one_value_and_people_read_stderr()
    {
        var output = new CommandOutput(_output, _error, json: true);
        output.WriteLine("reading");
        output.Write(new Table().AddColumn("worker").AddRow("worker-0"));
        output.Note("done");
        output.WriteJson(new { FinishReason = "stop", PrefillTokensPerSecond = 1.5, Text = "é \"<&", Workers = Array.Empty<int>() });

        using var json = JsonDocument.Parse(_output.ToString());
        Assert.Equal(["finish_reason", "prefill_tokens_per_second", "text", "workers"], json.RootElement.EnumerateObject().Select(field => field.Name));
        Assert.Contains("\"é \\\"<&\"", _output.ToString());
        foreach (var part in new[] { "reading\n", "worker-0", "done\n" })
            Assert.Contains(part, _error.ToString());
    }

    [Fact]
    public void Without_json_people_read_stdout_and_notes_go_to_stderr()
    {
        var output = new CommandOutput(_output, _error, json: false);
        output.WriteLine("text");
        output.Write(new Table().AddColumn("worker").AddRow("worker-0"));
        output.Note("note");
        Assert.StartsWith("text\n", _output.ToString());
        Assert.Contains("worker-0", _output.ToString());
        Assert.Equal("note\n", _error.ToString());
    }

    [Theory]
    [InlineData(null, "xterm", "\e[2mtext\e[0m")]
    [InlineData("", "xterm", "\e[2mtext\e[0m")]
    [InlineData("1", "xterm", "text")]
    [InlineData(null, "dumb", "text")]
    public void Styles_are_left_out_where_nobody_wants_them_or_the_terminal_has_none(string? noColor, string term, string shown) =>
        Assert.Equal(shown, CommandOutput.Styled("text", "2", name => name == "NO_COLOR" ? noColor : term));
}
