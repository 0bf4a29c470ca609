using System.Buffers;
using System.IO.Pipelines;
using Grok1Cluster.Grpc.Tests.Support;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Tests.Wire;

public class LengthPrefixTests
{
    private const int Limit = 1000;

    [Fact]
    public void A_message_is_written_as_flag_length_and_bytes()
    {
        var pipe = new Pipe();
        new LengthPrefixedWriter<string>(pipe.Writer, Raw.Text, Limit).Write("abc");
        pipe.Writer.Complete();
        Assert.True(pipe.Reader.TryRead(out var read));
        Assert.Equal([0, 0, 0, 0, 3, (byte)'a', (byte)'b', (byte)'c'], read.Buffer.ToArray());
    }

    [Fact]
    public async Task Messages_split_at_every_byte_are_put_together()
    {
        var wire = await WireOf("one", "", "three");
        for (var cut = 0; cut <= wire.Length; cut++)
        {
            var pipe = new Pipe();
            var reader = Reader(pipe);
            await pipe.Writer.WriteAsync(wire.AsMemory(0, cut));
            var rest = FeedRest(pipe, wire, cut);
            Assert.Equal(["one", "", "three"], await ReadAll(reader));
            await rest;
        }

        static async Task FeedRest(Pipe pipe, byte[] wire, int cut)
        {
            await Task.Yield();
            await pipe.Writer.WriteAsync(wire.AsMemory(cut));
            pipe.Writer.Complete();
        }
    }

    [Fact]
    public async Task Messages_fed_byte_by_byte_are_put_together()
    {
        var pipe = new Pipe();
        var read = ReadAll(Reader(pipe));
        foreach (var b in await WireOf("one", "", "three"))
            await pipe.Writer.WriteAsync(new[] { b });
        pipe.Writer.Complete();
        Assert.Equal(["one", "", "three"], await read);
    }

    [Fact]
    public async Task A_body_that_ends_inside_a_message_is_refused_wherever_it_ends()
    {
        var wire = await WireOf("message");
        for (var length = 1; length < wire.Length; length++)
            Assert.Equal(GrpcStatusCode.Internal, await FailureOf(wire[..length]));
    }

    [Fact]
    public async Task A_message_over_the_limit_is_refused_by_its_length_alone()
    {
        // The stream is left open: waiting for the message itself would hang.
        var pipe = new Pipe();
        await pipe.Writer.WriteAsync(new byte[] { 0, 0, 0, 3, 233 });
        var failure = await Assert.ThrowsAsync<RpcException>(async () => await Reader(pipe).ReadAsync(CancellationToken.None));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, failure.Code);
        Assert.Contains("1001", failure.Status.Message);
    }

    [Fact]
    public async Task A_length_that_overflows_is_refused() =>
        Assert.Equal(GrpcStatusCode.ResourceExhausted, await FailureOf([0, 255, 255, 255, 255]));

    [Theory]
    [InlineData(1, "gzip", GrpcStatusCode.Unimplemented)]
    [InlineData(1, null, GrpcStatusCode.Internal)]
    [InlineData(1, "identity", GrpcStatusCode.Internal)]
    [InlineData(2, "gzip", GrpcStatusCode.Internal)]
    public async Task A_compressed_message_is_refused(byte flag, string? encoding, GrpcStatusCode expected) =>
        Assert.Equal(expected, await FailureOf([flag, 0, 0, 0, 0], encoding));

    [Fact]
    public async Task Bytes_that_are_no_message_are_refused()
    {
        var picky = Raw.Bytes with { Read = _ => throw new FormatException("not this") };
        var pipe = new Pipe();
        await pipe.Writer.WriteAsync(new byte[LengthPrefix.Bytes]);
        var reader = new LengthPrefixedReader<byte[]>(pipe.Reader, picky, Limit, null);
        var failure = await Assert.ThrowsAsync<RpcException>(async () => await reader.ReadAsync(CancellationToken.None));
        Assert.Equal(GrpcStatusCode.Internal, failure.Code);
        Assert.Contains("not this", failure.Status.Message);
    }

    [Fact]
    public async Task A_read_that_was_cancelled_loses_nothing()
    {
        var pipe = new Pipe();
        var reader = Reader(pipe);
        var wire = await WireOf("kept");
        await pipe.Writer.WriteAsync(wire.AsMemory(0, 7));
        using var cancel = new CancellationTokenSource();
        var read = reader.ReadAsync(cancel.Token);
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await read);
        await pipe.Writer.WriteAsync(wire.AsMemory(7));
        Assert.True(await reader.ReadAsync(CancellationToken.None));
        Assert.Equal("kept", reader.Current);
    }

    [Fact]
    public void A_message_over_the_sending_limit_is_refused_and_nothing_is_written()
    {
        var pipe = new Pipe();
        var failure = Assert.Throws<RpcException>(() => new LengthPrefixedWriter<byte[]>(pipe.Writer, Raw.Bytes, Limit).Write(new byte[Limit + 1]));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, failure.Code);
        Assert.Equal(0, pipe.Writer.UnflushedBytes);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void A_marshaller_that_measures_wrongly_is_caught(int measured)
    {
        var wrong = Raw.Bytes with { Measure = _ => measured };
        Assert.Throws<InvalidOperationException>(() => new LengthPrefixedWriter<byte[]>(new Pipe().Writer, wrong, Limit).Write(new byte[3]));
    }

    private static LengthPrefixedReader<string> Reader(Pipe pipe) => new(pipe.Reader, Raw.Text, Limit, null);

    private static async Task<byte[]> WireOf(params string[] messages)
    {
        var pipe = new Pipe();
        var writer = new LengthPrefixedWriter<string>(pipe.Writer, Raw.Text, Limit);
        foreach (var message in messages)
            writer.Write(message);
        pipe.Writer.Complete();
        return (await pipe.Reader.ReadAsync()).Buffer.ToArray();
    }

    private static async Task<List<string>> ReadAll(LengthPrefixedReader<string> reader)
    {
        var all = new List<string>();
        while (await reader.ReadAsync(CancellationToken.None))
            all.Add(reader.Current);
        return all;
    }

    private static async Task<GrpcStatusCode> FailureOf(byte[] body, string? encoding = null)
    {
        var pipe = new Pipe();
        await pipe.Writer.WriteAsync(body);
        pipe.Writer.Complete();
        var reader = new LengthPrefixedReader<string>(pipe.Reader, Raw.Text, Limit, encoding);
        return (await Assert.ThrowsAsync<RpcException>(async () => await reader.ReadAsync(CancellationToken.None))).Code;
    }
}
