using Grok1Cluster.Grpc.Http2;

namespace Grok1Cluster.Grpc.Tests.Http2;

/// <summary>Delay 200 ms, timeout 600 ms, a look every 50 ms.</summary>
public class SilenceRuleTests
{
    private const int Period = 50;

    private readonly SilenceRule _rule = new(TimeSpan.FromMilliseconds(200), TimeSpan.FromMilliseconds(600), TimeSpan.FromMilliseconds(Period), 0);

    [Fact]
    public void A_silent_peer_is_asked_after_the_delay_and_given_up_after_the_timeout()
    {
        Assert.Equal([(200, Silence.ToAsk), (800, Silence.Dead)], Looks(from: Period, to: 800));
    }

    [Fact]
    public void Any_bytes_show_that_it_lives()
    {
        Assert.Equal([(200, Silence.ToAsk)], Looks(from: Period, to: 750));
        Assert.Equal(Silence.None, _rule.Look(800, lastReceived: 790, mayAsk: true));
        Assert.Equal(Silence.None, _rule.Look(950, lastReceived: 790, mayAsk: true));
        Assert.Equal(Silence.ToAsk, _rule.Look(1000, lastReceived: 790, mayAsk: true));
    }

    [Fact]
    public void Where_nobody_waits_nothing_is_asked() => Assert.Equal(Silence.None, _rule.Look(Period, lastReceived: -10_000, mayAsk: false));

    [Fact]
    public void A_process_that_was_paused_itself_gives_the_answer_its_full_time()
    {
        Assert.Equal([(200, Silence.ToAsk)], Looks(from: Period, to: 300));
        // Five seconds without a look: 500 ms are left of the answer's time, as before.
        const int Resumed = 5_300;
        Assert.Equal(Silence.None, _rule.Look(Resumed, 0, mayAsk: true));
        Assert.Equal([(Resumed + 450, Silence.Dead)], Looks(Resumed + Period, Resumed + 450));
    }

    private List<(int, Silence)> Looks(int from, int to) =>
        [.. Enumerable.Range(0, (to - from) / Period + 1).Select(i => from + i * Period).Select(now => (now, _rule.Look(now, 0, mayAsk: true))).Where(look => look.Item2 != Silence.None)];
}
