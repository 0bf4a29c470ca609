using System.Buffers;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Coordinator.Bench.Wire;

/// <summary>Messages as the activation streams send them: bytes that are written from, and read into, memory that stays.</summary>
internal static class Messages
{
    /// <summary>Duplex: each message comes back at once.</summary>
    public static GrpcMethod<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>> Echo { get; } = new("bench.Wire", "Echo", Marshaller(), Marshaller());

    /// <summary>Reads into one array, which the next message overwrites: one message is in flight on a stream.</summary>
    private static Marshaller<ReadOnlyMemory<byte>> Marshaller()
    {
        return new(static message => message.Length, static (message, to) => to.Write(message.Span), Read);

        static ReadOnlyMemory<byte> Read(ReadOnlySequence<byte> wire)
        {
            var bytes = Scratch.Of((int)wire.Length);
            wire.CopyTo(bytes.Span);
            return bytes;
        }
    }

    /// <summary>Memory of each thread that reads.</summary>
    private static class Scratch
    {
        [ThreadStatic]
        private static byte[]? _bytes;

        public static Memory<byte> Of(int length)
        {
            if (_bytes is null || _bytes.Length < length)
                _bytes = new byte[length];
            return _bytes.AsMemory(0, length);
        }
    }
}
