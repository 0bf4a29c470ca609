using System.Buffers;
using Google.Protobuf;

namespace Grok1Cluster.Grpc;

/// <summary>How messages of one type become bytes and back, straight on the transport's buffers.</summary>
/// <param name="Measure">The exact number of bytes that <paramref name="Write"/> will write; checked.</param>
/// <param name="Write">Writes the message, all of it, to the buffers of the connection.</param>
/// <param name="Read">
/// Makes a message from exactly its bytes, which are the connection's own and must not be kept. May throw
/// <see cref="RpcException"/> to choose the status; anything else becomes <see cref="GrpcStatusCode.Internal"/>.
/// </param>
public sealed record Marshaller<T>(Func<T, int> Measure, Action<T, IBufferWriter<byte>> Write, Func<ReadOnlySequence<byte>, T> Read);

/// <summary>Ready-made marshallers.</summary>
public static class Marshaller
{
    /// <summary>The marshaller of a generated protobuf message.</summary>
    public static Marshaller<T> Protobuf<T>(MessageParser<T> parser) where T : IMessage<T> => new(
        static message => message.CalculateSize(),
        static (message, buffers) => message.WriteTo(buffers),
        parser.ParseFrom);
}
