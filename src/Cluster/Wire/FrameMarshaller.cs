using System.Buffers;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>A message that is written from and read into an object that is used again.</summary>
public interface IWireFrame
{
    /// <summary>Bytes of the message.</summary>
    int Measure();

    /// <summary>Writes the message.</summary>
    void WriteTo(IBufferWriter<byte> buffers);

    /// <summary>Reads a message into this object; what it held is gone.</summary>
    /// <param name="message">All of it; its length is limited by the transport, and nothing larger is allocated.</param>
    /// <exception cref="FormatException">Not such a message.</exception>
    void ReadFrom(ReadOnlySpan<byte> message);
}

/// <summary>The marshallers of frames.</summary>
public static class FrameMarshaller
{
    /// <param name="rent">Gives the frame that a message is read into; called by the connection's thread.</param>
    public static Marshaller<TFrame> Of<TFrame>(Func<TFrame> rent) where TFrame : IWireFrame =>
        new(static frame => frame.Measure(), static (frame, buffers) => frame.WriteTo(buffers), message => Read(rent(), message));

    private static TFrame Read<TFrame>(TFrame frame, ReadOnlySequence<byte> message) where TFrame : IWireFrame
    {
        if (message.IsSingleSegment)
        {
            frame.ReadFrom(message.FirstSpan);
            return frame;
        }
        // The stock transport's pieces; our own keeps a message together.
        var whole = ArrayPool<byte>.Shared.Rent(checked((int)message.Length));
        message.CopyTo(whole);
        frame.ReadFrom(whole.AsSpan(0, (int)message.Length));
        ArrayPool<byte>.Shared.Return(whole);
        return frame;
    }
}
