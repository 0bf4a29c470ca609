using BenchmarkDotNet.Attributes;
using Grok1Cluster.Grpc.Http2;
using Grok1Cluster.Grpc.Http2.Hpack;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Micro.Bench;

/// <summary>The header block of a gRPC request, both ways.</summary>
public class HpackBenchmark
{
    private readonly HpackDecoder _decoder = new(16 << 10);
    private byte[] _block = [];

    private readonly HeaderList _headers = new()
    {
        { ":method", "POST" }, { ":scheme", "http" }, { ":path", "/grok1.expert.v1.ExpertService/Process" }, { ":authority", "10.0.0.1:9050" },
        { "te", "trailers" }, { "content-type", "application/grpc" }, { "grpc-timeout", "10S" }, { "user-agent", "grok1" },
    };

    [GlobalSetup]
    public void Setup() => _block = Written().ToArray();

    [Benchmark]
    public int Encode() => Written().Length;

    [Benchmark]
    public bool Decode() => _decoder.TryDecode(_block, new HeaderList());

    private ReadOnlyMemory<byte> Written()
    {
        var block = new ByteBuffer();
        HpackEncoder.Append(block, _headers);
        return block.Written;
    }
}
