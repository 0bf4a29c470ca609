using Grok1Cluster.Coordinator.Http.OpenAi.Generation;
using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Coordinator.Tests.Generation;

public class StopMatcherTests
{
    [Fact]
    public void A_text_without_a_stop_comes_out_as_it_went_in()
    {
        var matcher = new StopMatcher(["<end>", "\n\n"]);
        Assert.Equal("a <en b", Run(matcher, "a <", "en", " b"));
        Assert.False(matcher.Stopped);
    }

    [Theory]
    [InlineData("ab", "xa|by", "x")]
    [InlineData("ab", "x|a|b|y", "x")]
    [InlineData("ab", "ab", "")]
    [InlineData("aab", "aa|a|b", "a")]
    [InlineData("😀", "x|😀|y", "x")]
    [InlineData("b|ab", "xa|b", "x")] // the one that begins first counts
    public void A_stop_cuts_the_text_wherever_the_tokens_are_cut(string stops, string tokens, string expected)
    {
        var matcher = new StopMatcher(stops.Split('|'));
        Assert.Equal(expected, Run(matcher, tokens.Split('|')));
        Assert.True(matcher.Stopped);
    }

    [Fact]
    public void A_token_waits_only_as_long_as_a_stop_may_begin_in_it()
    {
        var matcher = new StopMatcher(["abc"]);
        Assert.Equal(["x"], Texts(matcher.Add(Token("x"), mayStop: true)));
        Assert.Empty(matcher.Add(Token("ya"), mayStop: true));
        Assert.Empty(matcher.Add(Token("b"), mayStop: true));
        Assert.Equal(["ya", "b", "d"], Texts(matcher.Add(Token("d"), mayStop: true)));
    }

    [Fact]
    public void Before_the_least_number_of_tokens_nothing_stops()
    {
        var matcher = new StopMatcher(["a"]);
        Assert.Equal(["a"], Texts(matcher.Add(Token("a"), mayStop: false)));
        Assert.Equal([""], Texts(matcher.Add(Token(""), mayStop: true)));
        Assert.Empty(matcher.Add(Token("a"), mayStop: true));
        Assert.True(matcher.Stopped);
    }

    [Theory]
    [InlineData("x\uFFFD", "\uFFFD", "x")]
    [InlineData("", "\uFFFD", "")]
    public void What_the_decoder_held_back_can_complete_a_stop(string before, string flushed, string expected)
    {
        var matcher = new StopMatcher(["\uFFFD"]);
        var text = before.Length == 0 ? "" : string.Concat(Texts(matcher.Add(Token(before[..1]), mayStop: true)));
        var (tokens, rest) = matcher.End(flushed);
        Assert.Equal(expected, text + string.Concat(Texts(tokens)) + rest);
        Assert.True(matcher.Stopped);
    }

    private static string Run(StopMatcher matcher, params string[] tokens)
    {
        var text = "";
        foreach (var token in tokens)
        {
            text += string.Concat(Texts(matcher.Add(Token(token), mayStop: true)));
            if (matcher.Stopped)
                return text;
        }
        var (held, rest) = matcher.End("");
        return text + string.Concat(Texts(held)) + rest;
    }

    private static TokenText Token(string text) => new(new GeneratedToken(1, null, null), text);

    private static IEnumerable<string> Texts(IEnumerable<TokenText> tokens) => tokens.Select(token => token.Text);
}
