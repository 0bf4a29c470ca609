using Grok1Cluster.Cli.Output;

namespace Grok1Cluster.Cli.Tests;

public sealed class ByteProgressTests
{
    private const long MiB = 1 << 20;

    private readonly StringWriter _output = new();
    private readonly ManualTime _time = new();

    [Fact]
    public void Work_under_two_seconds_shows_nothing()
    {
        using (var progress = new ByteProgress("reading", 10 * MiB, _output, null, _time))
        {
            _time.Advance(1.9);
            progress.Report(9 * MiB);
        }
        Assert.Equal("", _output.ToString());
    }

    [Fact]
    public void Without_a_terminal_there_is_a_plain_line_now_and_then()
    {
        using (var progress = new ByteProgress("reading", 10 * MiB, _output, null, _time))
            for (var second = 1; second <= 10; second++)
            {
                _time.Advance(1);
                progress.Report(second * MiB);
            }
        Assert.Equal(
            ["reading: 20 % of 10.0 MiB, 1.0 MiB/s", "reading: 70 % of 10.0 MiB, 1.0 MiB/s", "reading: 10.0 MiB in 10.0 s"],
            _output.ToString().TrimEnd().Split('\n'));
    }

    [Fact]
    public void On_a_terminal_a_bar_is_redrawn_within_its_width_and_removed()
    {
        using (var progress = new ByteProgress("reading", 10 * MiB, _output, () => 40, _time))
        {
            _time.Advance(2);
            progress.Report(5 * MiB);
            Assert.Equal("\r[===============               ] readin", _output.ToString());
        }
        Assert.EndsWith($"\r{new string(' ', 39)}\rreading: 5.0 MiB in 2.0 s\n", _output.ToString());
    }

    [Fact]
    public void Work_of_unknown_size_shows_what_is_done()
    {
        using var progress = new ByteProgress("reading", null, _output, null, _time);
        _time.Advance(4);
        progress.Report(8 * MiB);
        Assert.Equal("reading: 8.0 MiB, 2.0 MiB/s\n", _output.ToString());
    }

    private sealed class ManualTime : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Advance(double seconds) => _ticks += TimeSpan.FromSeconds(seconds).Ticks;
    }
}
