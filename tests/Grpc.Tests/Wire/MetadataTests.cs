using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Tests.Wire;

public class MetadataTests
{
    [Fact]
    public void Binary_values_of_any_length_survive_the_wire()
    {
        for (var length = 0; length < 10; length++)
        {
            var value = Support.Raw.Pattern(length);
            var headers = new HeaderList();
            MetadataEncoding.Append(new Metadata { { "data-bin", value } }, headers);
            Assert.DoesNotContain('=', headers.Find("data-bin")!);
            Assert.Equal(value, MetadataEncoding.Read(headers).Bytes("data-bin"));
        }
    }

    [Theory]
    [InlineData("AQ")]
    [InlineData("AQ==")]
    public void Base64_is_read_with_and_without_padding(string wire) =>
        Assert.Equal([1], MetadataEncoding.Read(new HeaderList { { "data-bin", wire } }).Bytes("data-bin"));

    [Fact]
    public void Joined_binary_values_are_parted() =>
        Assert.Equal([[1], [2]], MetadataEncoding.Read(new HeaderList { { "data-bin", "AQ==, Ag" } }).Select(entry => entry.Bytes));

    [Theory]
    [InlineData("A")]
    [InlineData("A?==")]
    [InlineData("AQ=Q")]
    [InlineData("A Q")]
    public void A_binary_value_that_is_no_base64_is_refused_by_name(string wire)
    {
        var failure = Assert.Throws<RpcException>(() => MetadataEncoding.Read(new HeaderList { { "data-bin", wire } }));
        Assert.Contains("data-bin", failure.Status.Message);
    }

    [Fact]
    public void What_belongs_to_the_protocol_is_not_shown() =>
        Assert.Equal(["mine"], MetadataEncoding.Read(new HeaderList
        {
            { "content-type", "application/grpc" }, { "grpc-status", "0" }, { "grpc-future", "1" }, { "te", "trailers" }, { "mine", "yes" },
        }).Select(entry => entry.Key));

    [Fact]
    public void Keys_are_lower_case_repeat_and_keep_their_order()
    {
        var metadata = new Metadata { { "Key", "1" }, { "key", "2" } };
        Assert.Equal(["1", "2"], metadata.Select(entry => entry.Text));
        Assert.Equal("2", metadata.Text("KEY"));
        Assert.Null(metadata.Text("other"));
    }

    [Theory]
    [InlineData("", "v")]
    [InlineData("two words", "v")]
    [InlineData(":path", "v")]
    [InlineData("grpc-status", "0")]
    [InlineData("Content-Type", "v")]
    [InlineData("data-bin", "text")]
    [InlineData("key", "line\nbreak")]
    [InlineData("key", "é")]
    [InlineData("key", " outer")]
    public void What_http_cannot_carry_is_refused_where_it_is_set(string key, string value) =>
        Assert.Throws<ArgumentException>(() => new Metadata { { key, value } });

    [Fact]
    public void Bytes_need_the_suffix() => Assert.Throws<ArgumentException>(() => new Metadata { { "data", new byte[1] } });
}
