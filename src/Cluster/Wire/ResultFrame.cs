using System.Buffers;
using System.Text;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>
/// A <see cref="ProcessResponse"/> as the two ends of a call use it: the same bytes on the wire as the generated message, but
/// reusable, with the values in a buffer that grows and stays. Not for concurrent use.
/// </summary>
public sealed class ResultFrame : IWireFrame
{
    // Fields of ProcessResponse, ExpertResult and CallFailure.
    private const int ResultField = 1, FailureField = 2;
    private const int IdField = 1, ValuesField = 2, ChecksumField = 3, QueueField = 4, ComputeField = 5;
    private const int ReasonField = 2, MessageField = 3;

    private const int LongestPrefix = 12;

    /// <summary>Bytes of a message with values, those apart, at most.</summary>
    public const int MostBesideValues = 8 * LongestPrefix;

    private byte[] _values = [];
    private int _length;

    public ulong Id { get; set; }

    /// <summary>[bundles, tokens, EmbeddingDim] in the call's result format; empty for a failure.</summary>
    public Span<byte> Values => _values.AsSpan(0, _length);

    /// <summary>CRC-32C of the values.</summary>
    public uint Checksum { get; set; }

    /// <summary>Microseconds from arrival to the start of the computation.</summary>
    public uint QueueUs { get; set; }

    /// <summary>Microseconds of the computation.</summary>
    public uint ComputeUs { get; set; }

    /// <summary>Why there is no result; <see cref="CallFailure.Types.Reason.Unspecified"/> when there is one.</summary>
    public CallFailure.Types.Reason Reason { get; set; }

    /// <summary>What a failure says.</summary>
    public string Message { get; set; } = "";

    public bool IsFailure => Reason != CallFailure.Types.Reason.Unspecified;

    /// <summary>Makes room for values; what they hold is undefined.</summary>
    public void Resize(int bytes)
    {
        _length = bytes;
        if (_values.Length < bytes)
            _values = GC.AllocateUninitializedArray<byte>(checked(bytes + bytes / 2));
    }

    public int Measure() => ProtobufWriter.BytesSize(IsFailure ? FailureField : ResultField, MeasureBody());

    public void WriteTo(IBufferWriter<byte> buffers)
    {
        var body = MeasureBody();
        var writer = new ProtobufWriter(buffers.GetSpan(2 * LongestPrefix + body - (IsFailure ? 0 : _length)));
        writer.Prefix(IsFailure ? FailureField : ResultField, body);
        writer.Number(IdField, Id);
        if (IsFailure)
        {
            writer.Number(ReasonField, (ulong)Reason);
            if (Message.Length > 0)
            {
                var text = Encoding.UTF8.GetBytes(Message);
                writer.Prefix(MessageField, text.Length);
                writer.Raw(text);
            }
            buffers.Advance(writer.Length);
            return;
        }
        if (_length > 0)
            writer.Prefix(ValuesField, _length);
        buffers.Advance(writer.Length);
        buffers.Write(Values);
        var last = new ProtobufWriter(buffers.GetSpan(3 * LongestPrefix));
        last.Fixed32(ChecksumField, Checksum);
        last.Number(QueueField, QueueUs);
        last.Number(ComputeField, ComputeUs);
        buffers.Advance(last.Length);
    }

    public void ReadFrom(ReadOnlySpan<byte> message)
    {
        var outer = new ProtobufReader(message);
        ReadOnlySpan<byte> body = default;
        var kind = 0;
        for (int field; (field = outer.NextField()) != 0;)
            if (field is ResultField or FailureField)
            {
                kind = field;
                body = outer.ReadBytes();
            }
            else
            {
                outer.Skip();
            }
        if (kind == 0)
            throw new FormatException("a response is a result or a failure");
        (Id, Checksum, QueueUs, ComputeUs, Reason, Message) = (0, 0, 0, 0, CallFailure.Types.Reason.Unspecified, "");
        Resize(0);
        var reader = new ProtobufReader(body);
        if (kind == ResultField)
            ReadResult(ref reader);
        else
            ReadFailure(ref reader);
    }

    private void ReadResult(ref ProtobufReader reader)
    {
        for (int field; (field = reader.NextField()) != 0;)
            switch (field)
            {
                case IdField: Id = reader.ReadUInt64(); break;
                case ValuesField:
                    var values = reader.ReadBytes();
                    Resize(values.Length);
                    values.CopyTo(Values);
                    break;
                case ChecksumField: Checksum = reader.ReadFixed32(); break;
                case QueueField: QueueUs = reader.ReadUInt32(); break;
                case ComputeField: ComputeUs = reader.ReadUInt32(); break;
                default: reader.Skip(); break;
            }
    }

    private void ReadFailure(ref ProtobufReader reader)
    {
        Reason = CallFailure.Types.Reason.Internal;
        for (int field; (field = reader.NextField()) != 0;)
            switch (field)
            {
                case IdField: Id = reader.ReadUInt64(); break;
                case ReasonField:
                    // A reason of a later version is a failure all the same.
                    if (reader.ReadUInt32() is > 0 and var reason)
                        Reason = (CallFailure.Types.Reason)reason;
                    break;
                case MessageField: Message = Encoding.UTF8.GetString(reader.ReadBytes()); break;
                default: reader.Skip(); break;
            }
    }

    private int MeasureBody()
    {
        var id = ProtobufWriter.NumberSize(IdField, Id);
        return IsFailure
            ? id + ProtobufWriter.NumberSize(ReasonField, (ulong)Reason) + (Message.Length == 0 ? 0 : ProtobufWriter.BytesSize(MessageField, Encoding.UTF8.GetByteCount(Message)))
            : id + (_length == 0 ? 0 : ProtobufWriter.BytesSize(ValuesField, _length)) + ProtobufWriter.Fixed32Size(ChecksumField, Checksum)
                + ProtobufWriter.NumberSize(QueueField, QueueUs) + ProtobufWriter.NumberSize(ComputeField, ComputeUs);
    }
}
