namespace Grok1Cluster.Grpc.Tests.Wire;

public class GrpcAddressTests
{
    [Theory]
    [InlineData("worker-1:50051", "worker-1", 50051)]
    [InlineData("http://10.0.0.7:80", "10.0.0.7", 80)]
    [InlineData("https://host.example:443/", "host.example", 443)]
    [InlineData("127.0.0.1:0", "127.0.0.1", 0)]
    [InlineData("[::1]:50051", "::1", 50051)]
    public void A_tcp_address_is_read(string text, string host, int port) => Assert.Equal(GrpcAddress.Tcp(host, port), GrpcAddress.Parse(text));

    [Fact]
    public void A_unix_address_is_read() => Assert.Equal(GrpcAddress.Unix("/run/a.sock"), GrpcAddress.Parse("unix:/run/a.sock"));

    [Theory]
    [InlineData("worker-1:50051")]
    [InlineData("[::1]:50051")]
    [InlineData("unix:/run/a.sock")]
    public void An_address_is_written_as_it_is_read(string text) => Assert.Equal(text, GrpcAddress.Parse(text).ToString());

    [Theory]
    [InlineData("")]
    [InlineData("host")]
    [InlineData("http://host")]
    [InlineData("[::1]")]
    [InlineData("host:99999")]
    [InlineData("host:port")]
    [InlineData("ftp://host:21")]
    [InlineData("host:1/path")]
    [InlineData("unix:relative.sock")]
    public void Anything_else_is_refused(string text) => Assert.Throws<FormatException>(() => GrpcAddress.Parse(text));
}
