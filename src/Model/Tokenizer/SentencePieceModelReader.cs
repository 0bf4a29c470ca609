using System.Text;

namespace Grok1Cluster.Model.Tokenizer;

/// <summary>
/// Reads a <c>ModelProto</c> (<c>sentencepiece_model.proto</c> of the SentencePiece project) and refuses what the
/// tokenizer does not implement. The file may come from anywhere: sizes are checked before anything is allocated.
/// </summary>
internal static class SentencePieceModelReader
{
    /// <summary>Grok-1's tokenizer has 2.2 MB.</summary>
    public const int MaxFileBytes = 64 << 20;

    public const int MaxPieces = 1 << 20;

    /// <summary>Bounds the work a text can cause at one position; Grok-1's longest piece has 45 bytes.</summary>
    public const int MaxPieceBytes = 1024;

    private const long Bpe = 2;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <exception cref="ModelException">The file is missing, too large, damaged, or of a kind that is not supported.</exception>
    public static SentencePieceModel ReadFile(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            if (stream.Length > MaxFileBytes)
                throw new ModelException($"{path}: {stream.Length} bytes are too many for a tokenizer (at most {MaxFileBytes}). Is this the file you mean?");
            var data = new byte[stream.Length];
            stream.ReadExactly(data);
            return Read(data, path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelException($"{path}: cannot read the tokenizer: {e.Message}", e);
        }
    }

    /// <param name="data">A serialised ModelProto.</param>
    /// <param name="file">Named in errors.</param>
    /// <exception cref="ModelException">As for <see cref="ReadFile"/>.</exception>
    public static SentencePieceModel Read(ReadOnlySpan<byte> data, string file)
    {
        var model = new SentencePieceModel();
        var reader = new ProtobufReader(data, "the model", file);
        while (reader.NextField())
        {
            switch (reader.Field)
            {
                case 1:
                    if (model.Pieces.Count == MaxPieces)
                        throw new ModelException($"{file}: more than {MaxPieces} pieces, which no supported tokenizer has.");
                    model.Pieces.Add(ReadPiece(reader.ReadBytes(), model.Pieces.Count, file));
                    break;
                case 2: ReadTrainerSpec(reader.ReadBytes(), model, file); break;
                case 3: ReadNormalizerSpec(reader.ReadBytes(), model, file); break;
                case 5: ReadDenormalizerSpec(reader.ReadBytes(), model, file); break;
                default: reader.Skip(); break;
            }
        }
        RefuseUnsupported(model, file);
        return model;
    }

    private static Piece ReadPiece(ReadOnlySpan<byte> message, int id, string file)
    {
        var text = "";
        var score = 0f;
        var type = (long)PieceType.Normal;
        var reader = new ProtobufReader(message, $"piece {id}", file);
        while (reader.NextField())
        {
            switch (reader.Field)
            {
                case 1: text = ReadText(reader.ReadBytes(), $"piece {id}", file); break;
                case 2: score = reader.ReadFloat(); break;
                case 3: type = reader.ReadInt64(); break;
                default: reader.Skip(); break;
            }
        }
        if (text.Length == 0)
            throw new ModelException($"{file}: piece {id} has no text.");
        if (!float.IsFinite(score))
            throw new ModelException($"{file}: piece {id} ({SentencePieceModel.Quote(text)}) has the score {score}; scores must be finite.");
        if (type is < (long)PieceType.Normal or > (long)PieceType.Byte)
            throw new ModelException($"{file}: piece {id} ({SentencePieceModel.Quote(text)}) has the unknown type {type}.");
        return new Piece(text, score, (PieceType)type);
    }

    private static void ReadTrainerSpec(ReadOnlySpan<byte> message, SentencePieceModel model, string file)
    {
        var reader = new ProtobufReader(message, "trainer_spec", file);
        while (reader.NextField())
        {
            switch (reader.Field)
            {
                case 3: model.ModelType = reader.ReadInt64(); break;
                case 24: model.TreatWhitespaceAsSuffix = reader.ReadBool(); break;
                case 35: model.ByteFallback = reader.ReadBool(); break;
                case 44: model.UnknownSurface = ReadText(reader.ReadBytes(), "trainer_spec.unk_surface", file); break;
                default: reader.Skip(); break;
            }
        }
    }

    private static void ReadNormalizerSpec(ReadOnlySpan<byte> message, SentencePieceModel model, string file)
    {
        var reader = new ProtobufReader(message, "normalizer_spec", file);
        while (reader.NextField())
        {
            switch (reader.Field)
            {
                case 2: model.HasCharacterMap |= reader.ReadBytes().Length > 0; break;
                case 3: model.AddDummyPrefix = reader.ReadBool(); break;
                case 4: model.RemoveExtraWhitespaces = reader.ReadBool(); break;
                case 5: model.EscapeWhitespaces = reader.ReadBool(); break;
                default: reader.Skip(); break;
            }
        }
    }

    private static void ReadDenormalizerSpec(ReadOnlySpan<byte> message, SentencePieceModel model, string file)
    {
        var reader = new ProtobufReader(message, "denormalizer_spec", file);
        while (reader.NextField())
        {
            if (reader.Field == 2)
                model.HasCharacterMap |= reader.ReadBytes().Length > 0;
            else
                reader.Skip();
        }
    }

    private static string ReadText(ReadOnlySpan<byte> utf8, string owner, string file)
    {
        if (utf8.Length > MaxPieceBytes)
            throw new ModelException($"{file}: {owner} is a text of {utf8.Length} bytes; at most {MaxPieceBytes} are supported.");
        try
        {
            return StrictUtf8.GetString(utf8);
        }
        catch (DecoderFallbackException e)
        {
            throw new ModelException($"{file}: {owner} is not UTF-8 text ({Convert.ToHexString(utf8)}).", e);
        }
    }

    private static void RefuseUnsupported(SentencePieceModel model, string file)
    {
        if (model.Pieces.Count == 0)
            throw new ModelException($"{file}: a SentencePiece model without pieces. Is this the file you mean?");
        if (model.ModelType != Bpe)
        {
            var name = model.ModelType switch { 1 => "unigram", 3 => "word", 4 => "char", var other => $"number {other}" };
            throw new ModelException($"{file}: a SentencePiece model of type {name}; only BPE, which Grok-1 uses, is supported.");
        }
        if (model.HasCharacterMap)
            throw new ModelException($"{file}: the model rewrites characters (precompiled_charsmap, such as NFKC); only the identity normaliser, which Grok-1 uses, is supported.");
        if (model.RemoveExtraWhitespaces && model.Pieces.FindIndex(piece => piece.Type == PieceType.UserDefined && piece.Text.Contains(' ')) is >= 0 and var spaced)
            throw new ModelException($"{file}: the model removes extra spaces but keeps those of the user-defined piece {spaced}, which is not supported.");
        if (model.TreatWhitespaceAsSuffix)
            throw new ModelException($"{file}: the model treats whitespace as a suffix, which is not supported.");
    }
}
