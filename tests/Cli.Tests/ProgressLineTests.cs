using Grok1Cluster.Cli.Output;

namespace Grok1Cluster.Cli.Tests;

public class ProgressLineTests
{
    [Fact]
    public void Without_a_terminal_each_part_is_a_line_once()
    {
        var text = new StringWriter { NewLine = "\n" };
        using (var line = new ProgressLine(text, null))
            foreach (var report in new[] { "first: a", "first: b", "second: a" })
                line.Report(report);
        Assert.Equal("first\nsecond\n", text.ToString());
    }

    [Fact]
    public void On_a_terminal_one_line_is_overwritten_and_gone_at_the_end()
    {
        var text = new StringWriter { NewLine = "\n" };
        using (var line = new ProgressLine(text, () => 8))
        {
            line.Report("long text that is cut");
            line.Report("ab");
        }
        Assert.Equal("\rlong te\rab     \r  \r", text.ToString());
    }
}
