using System.Text;
using Grok1Cluster.Grpc.Http2;
using Grok1Cluster.Grpc.Http2.Hpack;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Tests.Http2;

public class HpackTests
{
    /// <summary>The requests of RFC 7541, C.3 (plain) and C.4 (Huffman): each builds on the table of the one before.</summary>
    [Theory]
    [InlineData("828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865", "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565")]
    [InlineData("828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf")]
    public void The_examples_of_the_specification_are_read(string first, string second, string third)
    {
        var decoder = new HpackDecoder(1000);
        Assert.Equal(":method GET|:scheme http|:path /|:authority www.example.com", Decode(decoder, first));
        Assert.Equal(":method GET|:scheme http|:path /|:authority www.example.com|cache-control no-cache", Decode(decoder, second));
        Assert.Equal(":method GET|:scheme https|:path /index.html|:authority www.example.com|custom-key custom-value", Decode(decoder, third));
    }

    /// <summary>RFC 7541, C.6, with a table of 256 bytes: entries are evicted.</summary>
    [Fact]
    public void A_full_table_forgets_the_oldest()
    {
        var decoder = new HpackDecoder(1000);
        const string Rest = "|cache-control private|date Mon, 21 Oct 2013 20:13:21 GMT|location https://www.example.com";
        Assert.Equal(":status 302" + Rest, Decode(decoder, "3fe101" + "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3"));
        Assert.Equal(":status 307" + Rest, Decode(decoder, "4883640effc1c0bf"));
        Assert.Throws<Http2Exception>(() => Decode(decoder, "c2"));
    }

    [Fact]
    public void What_is_written_is_read()
    {
        var headers = new HeaderList
        {
            { ":status", "200" }, { ":status", "299" }, { "content-type", "application/grpc" }, { "x", "" }, { "long", new string('v', 5000) }, { "latin", "é" },
        };
        var block = new ByteBuffer();
        HpackEncoder.AppendEmptyTable(block);
        HpackEncoder.Append(block, headers);
        var read = new HeaderList();
        Assert.True(new HpackDecoder(10_000).TryDecode(block.Written.Span, read));
        Assert.Equal(headers, read);
    }

    [Theory]
    [InlineData("80", "an index of nothing")]
    [InlineData("be", "an index beyond the table")]
    [InlineData("ffffffffff0f", "an index that overflows")]
    [InlineData("ff", "an index cut off")]
    [InlineData("40", "a name that is missing")]
    [InlineData("4005616263", "a name cut off")]
    [InlineData("400161", "a value that is missing")]
    [InlineData("828620", "a resize behind a header")]
    [InlineData("3fe21f", "a table over the limit")]
    [InlineData("00810000", "a text filled up by zeros")]
    [InlineData("0084ffffffff00", "the end of text inside a text")]
    [InlineData("0082ffff00", "more than 7 bits of filling")]
    public void A_malformed_block_is_refused(string hex, string what)
    {
        var fault = Assert.Throws<Http2Exception>(() => Decode(new HpackDecoder(1000), hex));
        Assert.True(fault.Code == ErrorCode.CompressionError, what);
    }

    [Fact]
    public void A_list_over_the_limit_keeps_the_table_in_step()
    {
        var decoder = new HpackDecoder(100);
        var headers = new HeaderList();
        Assert.False(decoder.TryDecode(Convert.FromHexString("828684be".Replace("be", "400a637573746f6d2d6b65790c637573746f6d2d76616c7565")), headers));
        Assert.Equal("custom-key custom-value", Decode(decoder, "be"));
    }

    [Fact]
    public void Random_blocks_are_read_or_refused()
    {
        var random = new Random(7);
        var decoder = new HpackDecoder(1000);
        for (var i = 0; i < 20_000; i++)
        {
            var block = new byte[random.Next(60)];
            random.NextBytes(block);
            try
            {
                decoder.TryDecode(block, []);
            }
            catch (Http2Exception fault)
            {
                Assert.Equal(ErrorCode.CompressionError, fault.Code);
                decoder = new HpackDecoder(1000);
            }
        }
    }

    private static string Decode(HpackDecoder decoder, string hex)
    {
        var headers = new HeaderList();
        Assert.True(decoder.TryDecode(Convert.FromHexString(hex), headers));
        return string.Join('|', headers.Select(header => $"{header.Key} {header.Value}"));
    }
}
