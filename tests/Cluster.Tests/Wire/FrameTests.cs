using System.Buffers;
using Google.Protobuf;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Tests.Wire;

/// <summary>The hot messages are the generated ones, byte for byte, and hostile bytes do no more than a FormatException.</summary>
public class FrameTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    [InlineData(3000)]
    public void A_call_has_the_bytes_of_the_generated_message(int tokens)
    {
        var call = Call(tokens);
        var frame = FrameOf(call);
        var expected = new ProcessRequest { Call = call }.ToByteArray();
        Assert.Equal(expected.Length, frame.Measure());
        Assert.Equal(expected, Written(frame));
    }

    [Fact]
    public void Defaults_are_left_out_as_the_generated_message_leaves_them_out()
    {
        Assert.Equal(new ProcessRequest { Call = new ExpertCall() }.ToByteArray(), Written(new CallFrame()));
        Assert.Equal(new ProcessRequest { Cancel = new CancelCall() }.ToByteArray(), Written(new CallFrame { IsCancel = true }));
        Assert.Equal(new ProcessRequest { Cancel = new CancelCall { Id = ulong.MaxValue } }.ToByteArray(), Written(new CallFrame { IsCancel = true, Id = ulong.MaxValue }));
        Assert.Equal(new ProcessResponse { Result = new ExpertResult() }.ToByteArray(), Written(new ResultFrame()));
    }

    [Fact]
    public void A_call_is_read_as_it_was_written_whatever_the_frame_held()
    {
        var frame = new CallFrame();
        foreach (var tokens in (int[])[3, 200, 1])
        {
            var call = Call(tokens);
            frame.ReadFrom(new ProcessRequest { Call = call }.ToByteArray());
            Assert.False(frame.IsCancel);
            Assert.Equal((call.Id, call.Layer, call.TimeoutMs, call.Weights, call.Tokens), (frame.Id, frame.Layer, frame.TimeoutMs, frame.Weights, frame.Tokens));
            Assert.Equal((call.ActivationFormat, call.ResultFormat, call.Checksum, call.Priority), (frame.ActivationFormat, frame.ResultFormat, frame.Checksum, frame.Priority));
            Assert.Equal(call.Activations.ToByteArray(), frame.Activations.ToArray());
            Assert.Equal(call.Scales.ToByteArray(), frame.Scales.ToArray());
            Assert.Equal(call.Experts.ToByteArray(), frame.Experts.ToArray());
            Assert.Equal(call.Gates.ToByteArray(), frame.Gates.ToArray());
            Assert.Equal(call.Outliers.ToByteArray(), frame.Outliers.ToArray());
            Assert.Equal(call.Bundles.Count, frame.BundleCount);
            for (var bundle = 0; bundle < frame.BundleCount; bundle++)
                Assert.Equal(call.Bundles[bundle].Tiles.Select(tile => new TileRange(tile.Expert, tile.Start, tile.End)), frame.BundleTiles(bundle).ToArray());
        }
        frame.ReadFrom(new ProcessRequest { Cancel = new CancelCall { Id = 9 } }.ToByteArray());
        Assert.Equal((true, 9ul, 0), (frame.IsCancel, frame.Id, frame.BundleCount));
    }

    [Fact]
    public void Results_and_failures_are_written_and_read_as_the_generated_messages()
    {
        var random = new Random(1);
        var values = new byte[5000];
        random.NextBytes(values);
        ProcessResponse[] responses =
        [
            new() { Result = new ExpertResult { Id = 300, Values = ByteString.CopyFrom(values), Checksum = 0xDEADBEEF, QueueUs = 12, ComputeUs = 1 << 20 } },
            new() { Failure = new CallFailure { Id = 7, Reason = CallFailure.Types.Reason.NotHeld, Message = "nicht hier: Ü" } },
            new() { Result = new ExpertResult { Id = 1 } },
        ];
        var frame = new ResultFrame();
        foreach (var response in responses)
        {
            var bytes = response.ToByteArray();
            frame.ReadFrom(bytes);
            Assert.Equal(response.KindCase == ProcessResponse.KindOneofCase.Failure, frame.IsFailure);
            Assert.Equal(bytes, Written(frame));
        }
    }

    [Fact]
    public void Fields_of_later_versions_are_passed_over()
    {
        byte[] unknown = [0xF8, 0x07, 0x01, 0xFA, 0x07, 0x02, 1, 2, 0xFD, 0x07, 1, 2, 3, 4, 0xF9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8];
        byte[] body = [.. Call(2).ToByteArray(), .. unknown];
        byte[] message = [.. unknown, 0x0A, .. Varint(body.Length), .. body, .. unknown];
        var frame = new CallFrame();
        frame.ReadFrom(message);
        Assert.Equal(2u, frame.Tokens);
    }

    [Fact]
    public void Hostile_bytes_are_refused_and_leave_the_frame_usable()
    {
        var good = new ProcessRequest { Call = Call(3) }.ToByteArray();
        var call = new CallFrame();
        Assert.Throws<FormatException>(() => call.ReadFrom([]));
        // A length of 2 GiB in a message of a few bytes.
        Assert.Throws<FormatException>(() => call.ReadFrom([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0]));
        call.ReadFrom(good);
        Assert.Equal(good, Written(FrameOf(Call(3))));
    }

    private static ExpertCall Call(int tokens)
    {
        var random = new Random(tokens);
        ByteString Bytes(int length)
        {
            var bytes = new byte[length];
            random.NextBytes(bytes);
            return ByteString.CopyFrom(bytes);
        }
        var call = new ExpertCall
        {
            Id = 12345678901, Layer = 3, TimeoutMs = 120_000, Weights = 0x0123456789ABCDEF, Tokens = (uint)tokens, ActivationFormat = TensorFormat.Int8Blocks,
            Activations = Bytes(tokens * 64), Scales = Bytes(tokens * 4), Experts = Bytes(tokens * 2), Gates = Bytes(tokens * 8), ResultFormat = TensorFormat.Bfloat16,
            Checksum = 77, Priority = tokens == 1 ? Priority.Decode : Priority.Bulk, Outliers = Bytes(tokens % 40 * 12),
        };
        for (var bundle = 0; bundle < 3; bundle++)
        {
            call.Bundles.Add(new Bundle());
            for (var tile = 0; tile <= bundle; tile++)
                call.Bundles[bundle].Tiles.Add(new BundleTile { Expert = (uint)tile, Start = 128, End = 16384 });
        }
        return call;
    }

    private static CallFrame FrameOf(ExpertCall call)
    {
        var frame = new CallFrame
        {
            Id = call.Id, Layer = call.Layer, TimeoutMs = call.TimeoutMs, Weights = call.Weights, Tokens = call.Tokens, ActivationFormat = call.ActivationFormat,
            ResultFormat = call.ResultFormat, Checksum = call.Checksum, Priority = call.Priority,
            Bundles = new EncodedBundles(call.Bundles.Select(bundle => bundle.Tiles.Select(tile => new TileRange(tile.Expert, tile.Start, tile.End)))),
        };
        frame.Resize(call.Activations.Length, call.Scales.Length, call.Experts.Length, call.Gates.Length, call.Outliers.Length);
        call.Activations.Span.CopyTo(frame.Activations);
        call.Scales.Span.CopyTo(frame.Scales);
        call.Experts.Span.CopyTo(frame.Experts);
        call.Gates.Span.CopyTo(frame.Gates);
        call.Outliers.Span.CopyTo(frame.Outliers);
        return frame;
    }

    private static byte[] Written(IWireFrame frame)
    {
        var buffers = new ArrayBufferWriter<byte>();
        frame.WriteTo(buffers);
        return buffers.WrittenSpan.ToArray();
    }

    private static byte[] Varint(int value) => value < 128 ? [(byte)value] : [(byte)(value | 0x80), .. Varint(value >> 7)];
}
