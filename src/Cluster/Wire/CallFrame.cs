using System.Buffers;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>
/// A <see cref="ProcessRequest"/> as the two ends of a call use it: the same bytes on the wire as the generated message, but
/// reusable, with the payload in one buffer that grows and stays. A coordinator fills it and sends it; a worker reads into it.
/// Not for concurrent use.
/// </summary>
public sealed class CallFrame : IWireFrame
{
    // Fields of ProcessRequest, ExpertCall, Bundle, BundleTile and CancelCall.
    private const int Call = 1, CancelField = 2;
    private const int IdField = 1, LayerField = 2, TimeoutField = 3, WeightsField = 4, BundlesField = 5, TokensField = 6, ActivationFormatField = 7;
    private const int ActivationsField = 8, ScalesField = 9, ExpertsField = 10, GatesField = 11, ResultFormatField = 12, ChecksumField = 13, PriorityField = 14, OutliersField = 15;
    private const int TilesField = 1, ExpertField = 1, StartField = 2, EndField = 3;

    /// <summary>Tag and length of a field of bytes at most.</summary>
    private const int LongestPrefix = 12;

    private readonly List<TileRange> _tiles = [];
    private readonly List<int> _bundleEnds = [];
    private byte[] _payload = [];
    private int _scales, _experts, _gates, _outliers, _end;

    /// <summary>Whether this is a cancel, which has nothing but an id.</summary>
    public bool IsCancel { get; set; }

    public ulong Id { get; set; }

    public uint Layer { get; set; }

    /// <summary>Milliseconds from arrival after which the result is of no use; 0 waits for ever.</summary>
    public uint TimeoutMs { get; set; }

    /// <summary>The short form of the model's fingerprint.</summary>
    public ulong Weights { get; set; }

    /// <summary>Rows of the payload.</summary>
    public uint Tokens { get; set; }

    public TensorFormat ActivationFormat { get; set; }

    public TensorFormat ResultFormat { get; set; }

    public Priority Priority { get; set; }

    /// <summary>CRC-32C of the payload.</summary>
    public uint Checksum { get; set; }

    /// <summary>What a sender asks for, encoded once for all its calls; a frame that was read has <see cref="BundleTiles"/> instead.</summary>
    public EncodedBundles? Bundles { get; set; }

    /// <summary>Bundles of a frame that was read.</summary>
    public int BundleCount => _bundleEnds.Count;

    public Span<byte> Activations => _payload.AsSpan(0, _scales);

    public Span<byte> Scales => _payload.AsSpan(_scales, _experts - _scales);

    public Span<byte> Experts => _payload.AsSpan(_experts, _gates - _experts);

    public Span<byte> Gates => _payload.AsSpan(_gates, _outliers - _gates);

    public Span<byte> Outliers => _payload.AsSpan(_outliers, _end - _outliers);

    /// <summary>Activations, scales, experts, gates and outliers, one after the other: what the checksum covers.</summary>
    public ReadOnlySpan<byte> Payload => _payload.AsSpan(0, _end);

    /// <summary>Tiles of a bundle of a frame that was read.</summary>
    public ReadOnlySpan<TileRange> BundleTiles(int bundle)
    {
        var first = bundle == 0 ? 0 : _bundleEnds[bundle - 1];
        return System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_tiles)[first.._bundleEnds[bundle]];
    }

    /// <summary>Makes room for a payload whose parts have these lengths; what they hold is undefined.</summary>
    public void Resize(int activations, int scales, int experts, int gates, int outliers)
    {
        _scales = activations;
        _experts = checked(_scales + scales);
        _gates = checked(_experts + experts);
        _outliers = checked(_gates + gates);
        _end = checked(_outliers + outliers);
        if (_payload.Length < _end)
            _payload = GC.AllocateUninitializedArray<byte>(checked(_end + _end / 2));
    }

    /// <summary>Leaves the outliers out; the other parts stay.</summary>
    public void DropOutliers() => _end = _outliers;

    public int Measure()
    {
        var body = MeasureBody();
        return ProtobufWriter.BytesSize(IsCancel ? CancelField : Call, body);
    }

    public void WriteTo(IBufferWriter<byte> buffers)
    {
        var body = MeasureBody();
        var bundles = Bundles is { } asked ? asked.Bytes : [];
        var writer = new ProtobufWriter(buffers.GetSpan(LongestPrefix + body - (IsCancel ? 0 : _end)));
        writer.Prefix(IsCancel ? CancelField : Call, body);
        writer.Number(IdField, Id);
        if (IsCancel)
        {
            buffers.Advance(writer.Length);
            return;
        }
        writer.Number(LayerField, Layer);
        writer.Number(TimeoutField, TimeoutMs);
        writer.Fixed64(WeightsField, Weights);
        writer.Raw(bundles);
        writer.Number(TokensField, Tokens);
        writer.Number(ActivationFormatField, (ulong)ActivationFormat);
        buffers.Advance(writer.Length);
        Append(buffers, ActivationsField, Activations);
        Append(buffers, ScalesField, Scales);
        Append(buffers, ExpertsField, Experts);
        Append(buffers, GatesField, Gates);
        var last = new ProtobufWriter(buffers.GetSpan(3 * LongestPrefix));
        last.Number(ResultFormatField, (ulong)ResultFormat);
        last.Fixed32(ChecksumField, Checksum);
        last.Number(PriorityField, (ulong)Priority);
        buffers.Advance(last.Length);
        Append(buffers, OutliersField, Outliers);
    }

    public void ReadFrom(ReadOnlySpan<byte> message)
    {
        var outer = new ProtobufReader(message);
        ReadOnlySpan<byte> body = default;
        var kind = 0;
        for (int field; (field = outer.NextField()) != 0;)
            if (field is Call or CancelField)
            {
                kind = field;
                body = outer.ReadBytes();
            }
            else
            {
                outer.Skip();
            }
        if (kind == 0)
            throw new FormatException("a request is a call or a cancel");
        IsCancel = kind == CancelField;
        ReadBody(body);
    }

    private void ReadBody(ReadOnlySpan<byte> body)
    {
        (Id, Layer, TimeoutMs, Weights, Tokens, Checksum) = (0, 0, 0, 0, 0, 0);
        (ActivationFormat, ResultFormat, Priority, Bundles) = (TensorFormat.Unspecified, TensorFormat.Unspecified, Priority.Bulk, null);
        _tiles.Clear();
        _bundleEnds.Clear();
        ReadOnlySpan<byte> activations = default, scales = default, experts = default, gates = default, outliers = default;
        var reader = new ProtobufReader(body);
        for (int field; (field = reader.NextField()) != 0;)
            switch (IsCancel && field != IdField ? 0 : field)
            {
                case IdField: Id = reader.ReadUInt64(); break;
                case LayerField: Layer = reader.ReadUInt32(); break;
                case TimeoutField: TimeoutMs = reader.ReadUInt32(); break;
                case WeightsField: Weights = reader.ReadFixed64(); break;
                case BundlesField: ReadBundle(reader.ReadBytes()); break;
                case TokensField: Tokens = reader.ReadUInt32(); break;
                case ActivationFormatField: ActivationFormat = (TensorFormat)reader.ReadUInt32(); break;
                case ActivationsField: activations = reader.ReadBytes(); break;
                case ScalesField: scales = reader.ReadBytes(); break;
                case ExpertsField: experts = reader.ReadBytes(); break;
                case GatesField: gates = reader.ReadBytes(); break;
                case ResultFormatField: ResultFormat = (TensorFormat)reader.ReadUInt32(); break;
                case ChecksumField: Checksum = reader.ReadFixed32(); break;
                case PriorityField: Priority = (Priority)reader.ReadUInt32(); break;
                case OutliersField: outliers = reader.ReadBytes(); break;
                default: reader.Skip(); break;
            }
        Resize(activations.Length, scales.Length, experts.Length, gates.Length, outliers.Length);
        activations.CopyTo(Activations);
        scales.CopyTo(Scales);
        experts.CopyTo(Experts);
        gates.CopyTo(Gates);
        outliers.CopyTo(Outliers);
    }

    private void ReadBundle(ReadOnlySpan<byte> bundle)
    {
        var reader = new ProtobufReader(bundle);
        for (int field; (field = reader.NextField()) != 0;)
            if (field == TilesField)
                _tiles.Add(ReadTile(reader.ReadBytes()));
            else
                reader.Skip();
        _bundleEnds.Add(_tiles.Count);
    }

    private static TileRange ReadTile(ReadOnlySpan<byte> tile)
    {
        var reader = new ProtobufReader(tile);
        uint expert = 0, start = 0, end = 0;
        for (int field; (field = reader.NextField()) != 0;)
            switch (field)
            {
                case ExpertField: expert = reader.ReadUInt32(); break;
                case StartField: start = reader.ReadUInt32(); break;
                case EndField: end = reader.ReadUInt32(); break;
                default: reader.Skip(); break;
            }
        return new TileRange(expert, start, end);
    }

    private int MeasureBody()
    {
        var id = ProtobufWriter.NumberSize(IdField, Id);
        if (IsCancel)
            return id;
        return id + ProtobufWriter.NumberSize(LayerField, Layer) + ProtobufWriter.NumberSize(TimeoutField, TimeoutMs) + ProtobufWriter.Fixed64Size(WeightsField, Weights)
            + (Bundles?.Bytes.Length ?? 0) + ProtobufWriter.NumberSize(TokensField, Tokens) + ProtobufWriter.NumberSize(ActivationFormatField, (ulong)ActivationFormat)
            + PartSize(ActivationsField, Activations) + PartSize(ScalesField, Scales) + PartSize(ExpertsField, Experts) + PartSize(GatesField, Gates)
            + ProtobufWriter.NumberSize(ResultFormatField, (ulong)ResultFormat) + ProtobufWriter.Fixed32Size(ChecksumField, Checksum)
            + ProtobufWriter.NumberSize(PriorityField, (ulong)Priority) + PartSize(OutliersField, Outliers);
    }

    private static int PartSize(int field, ReadOnlySpan<byte> part) => part.IsEmpty ? 0 : ProtobufWriter.BytesSize(field, part.Length);

    private static void Append(IBufferWriter<byte> buffers, int field, ReadOnlySpan<byte> part)
    {
        if (part.IsEmpty)
            return;
        var writer = new ProtobufWriter(buffers.GetSpan(LongestPrefix));
        writer.Prefix(field, part.Length);
        buffers.Advance(writer.Length);
        buffers.Write(part);
    }
}
