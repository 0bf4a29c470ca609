using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Tests.Wire;

public class EncodingTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("plain text!", "plain text!")]
    [InlineData("50%", "50%25")]
    [InlineData("a\r\nb", "a%0D%0Ab")]
    [InlineData(" outer ", "%20outer%20")]
    [InlineData(" ", "%20")]
    [InlineData("é", "%C3%A9")]
    [InlineData("日本", "%E6%97%A5%E6%9C%AC")]
    [InlineData("a🦊", "a%F0%9F%A6%8A")]
    public void A_status_message_travels_percent_encoded(string text, string wire)
    {
        Assert.Equal(wire, PercentEncoding.Encode(text, 1000));
        Assert.Equal(text, PercentEncoding.Decode(wire));
    }

    [Theory]
    [InlineData("100%", "100%")]
    [InlineData("%zz%4", "%zz%4")]
    [InlineData("%c3%a9", "é")]
    [InlineData("%FF", "\uFFFD")]
    public void A_peer_that_encodes_badly_is_still_read(string wire, string text) => Assert.Equal(text, PercentEncoding.Decode(wire));

    [Fact]
    public void A_message_too_long_is_cut_between_characters()
    {
        Assert.Equal("%C3%A9%C3%A9", PercentEncoding.Encode("ééé", 17));
        Assert.Equal("ab", PercentEncoding.Encode("abc", 2));
    }

    [Theory]
    [InlineData("5H", 5 * TimeSpan.TicksPerHour)]
    [InlineData("7M", 7 * TimeSpan.TicksPerMinute)]
    [InlineData("30S", 30 * TimeSpan.TicksPerSecond)]
    [InlineData("250m", 250 * TimeSpan.TicksPerMillisecond)]
    [InlineData("9u", 90)]
    [InlineData("150n", 2)]
    [InlineData("0S", 0)]
    [InlineData("99999999H", 99_999_999 * TimeSpan.TicksPerHour)]
    public void Every_unit_of_a_timeout_is_understood(string text, long ticks)
    {
        Assert.True(TimeoutEncoding.TryDecode(text, out var timeout));
        Assert.Equal(ticks, timeout.Ticks);
    }

    [Theory]
    [InlineData("")]
    [InlineData("S")]
    [InlineData("5")]
    [InlineData("5s")]
    [InlineData("-5S")]
    [InlineData("+5S")]
    [InlineData(" 5S")]
    [InlineData("1.5S")]
    [InlineData("123456789S")]
    public void A_malformed_timeout_is_refused(string text) => Assert.False(TimeoutEncoding.TryDecode(text, out _));

    [Theory]
    [InlineData(0, "1n")]
    [InlineData(-5, "1n")]
    [InlineData(1, "100n")]
    [InlineData(999_999, "99999900n")]
    [InlineData(1_000_001, "100001u")]
    [InlineData(TimeSpan.TicksPerSecond, "1000000u")]
    [InlineData(1000 * TimeSpan.TicksPerSecond, "1000000m")]
    [InlineData(100_000_000 * TimeSpan.TicksPerMillisecond, "100000S")]
    [InlineData(long.MaxValue, "99999999H")]
    public void A_timeout_is_written_in_the_finest_unit_that_fits(long ticks, string text) =>
        Assert.Equal(text, TimeoutEncoding.Encode(new TimeSpan(ticks)));

    [Fact]
    public void A_timeout_never_shrinks_on_the_wire()
    {
        var random = new Random(1);
        for (var i = 0; i < 10_000; i++)
        {
            var timeout = new TimeSpan(random.NextInt64(1L << random.Next(1, 58)) + 1);
            var text = TimeoutEncoding.Encode(timeout);
            Assert.True(TimeoutEncoding.TryDecode(text, out var decoded), text);
            Assert.InRange(decoded, timeout, timeout * 1.0001 + TimeSpan.FromTicks(10));
        }
    }

    [Theory]
    [InlineData("0", GrpcStatusCode.Ok)]
    [InlineData("16", GrpcStatusCode.Unauthenticated)]
    [InlineData("17", GrpcStatusCode.Unknown)]
    [InlineData("-1", GrpcStatusCode.Unknown)]
    [InlineData("five", GrpcStatusCode.Unknown)]
    [InlineData("", GrpcStatusCode.Unknown)]
    public void Any_status_a_peer_sends_has_a_meaning(string text, GrpcStatusCode expected) =>
        Assert.Equal(expected, StatusEncoding.Read(new HeaderList { { HeaderNames.Status, text } })!.Value.Code);

    [Fact]
    public void No_status_is_told_from_a_status() => Assert.Null(StatusEncoding.Read([]));

    [Theory]
    [InlineData("application/grpc", true)]
    [InlineData("application/grpc+proto", true)]
    [InlineData("application/grpc;charset=utf-8", true)]
    [InlineData("Application/GRPC", true)]
    [InlineData("application/grpc-web", false)]
    [InlineData("application/json", false)]
    [InlineData(null, false)]
    public void The_content_type_tells_grpc_from_anything_else(string? type, bool expected) => Assert.Equal(expected, HeaderNames.IsGrpc(type));

    [Theory]
    [InlineData(400, GrpcStatusCode.Internal)]
    [InlineData(401, GrpcStatusCode.Unauthenticated)]
    [InlineData(403, GrpcStatusCode.PermissionDenied)]
    [InlineData(404, GrpcStatusCode.Unimplemented)]
    [InlineData(429, GrpcStatusCode.Unavailable)]
    [InlineData(502, GrpcStatusCode.Unavailable)]
    [InlineData(503, GrpcStatusCode.Unavailable)]
    [InlineData(504, GrpcStatusCode.Unavailable)]
    [InlineData(500, GrpcStatusCode.Unknown)]
    [InlineData(302, GrpcStatusCode.Unknown)]
    public void Http_statuses_map_as_the_specification_says(int http, GrpcStatusCode expected) => Assert.Equal(expected, HttpErrorMapping.FromHttpStatus(http));

    [Theory]
    [InlineData(0x0, GrpcStatusCode.Internal)]
    [InlineData(0x1, GrpcStatusCode.Internal)]
    [InlineData(0x7, GrpcStatusCode.Unavailable)]
    [InlineData(0x8, GrpcStatusCode.Cancelled)]
    [InlineData(0xb, GrpcStatusCode.ResourceExhausted)]
    [InlineData(0xc, GrpcStatusCode.PermissionDenied)]
    public void Http2_errors_map_as_the_specification_says(long error, GrpcStatusCode expected) => Assert.Equal(expected, HttpErrorMapping.FromHttp2Error(error));
}
