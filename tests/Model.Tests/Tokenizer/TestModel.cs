using System.Text;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Model.Tests.Tokenizer;

/// <summary>
/// Builds small SentencePiece models field by field, independently of the reader under test. The pieces are
/// [PAD] 0, [BOS] 1, [EOS] 2, [UNK] 3, then those added, then the 256 bytes unless switched off.
/// </summary>
internal sealed class TestModel
{
    public const int Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6;

    public List<(byte[] Text, float Score, int Type)> Pieces { get; } =
    [
        (Utf8("[PAD]"), 0, Control), (Utf8("[BOS]"), 0, Control), (Utf8("[EOS]"), 0, Control), (Utf8("[UNK]"), 0, Unknown),
    ];

    public int ModelType { get; set; } = 2;

    public bool ByteFallback { get; set; } = true;

    public bool WithBytePieces { get; set; } = true;

    public bool TreatWhitespaceAsSuffix { get; set; }

    public string? UnknownSurface { get; set; }

    public bool AddDummyPrefix { get; set; } = true;

    public bool RemoveExtraWhitespaces { get; set; }

    public bool EscapeWhitespaces { get; set; } = true;

    public byte[] CharacterMap { get; set; } = [];

    public byte[] DenormalizerCharacterMap { get; set; } = [];

    public TestModel Add(string text, float score = 0, int type = Normal)
    {
        Pieces.Add((Utf8(text), score, type));
        return this;
    }

    /// <summary>Takes back the first piece with this text.</summary>
    public TestModel WithoutPiece(string text)
    {
        Pieces.RemoveAt(IdOf(text));
        return this;
    }

    /// <summary>Adds single characters with low scores: the alphabet.</summary>
    public TestModel AddCharacters(string characters)
    {
        foreach (var rune in characters.EnumerateRunes())
            Add(rune.ToString(), -1000 - Pieces.Count);
        return this;
    }

    public int IdOf(string piece) => AllPieces().FindIndex(p => p.Text.AsSpan().SequenceEqual(Utf8(piece)));

    public SentencePieceTokenizer Load() => SentencePieceTokenizer.Parse(ToBytes(), "tokenizer.model");

    /// <summary>The serialised <c>ModelProto</c>.</summary>
    public byte[] ToBytes()
    {
        var model = new MemoryStream();
        foreach (var (text, score, type) in AllPieces())
        {
            var piece = new MemoryStream();
            WriteField(piece, 1, text);
            piece.Write([2 << 3 | 5, .. BitConverter.GetBytes(score)]);
            WriteField(piece, 3, type);
            WriteField(model, 1, piece.ToArray());
        }

        var trainer = new MemoryStream();
        WriteField(trainer, 3, ModelType);
        WriteField(trainer, 24, TreatWhitespaceAsSuffix ? 1 : 0);
        WriteField(trainer, 35, ByteFallback ? 1 : 0);
        if (UnknownSurface is not null)
            WriteField(trainer, 44, Utf8(UnknownSurface));
        WriteField(trainer, 45, Utf8("[UNK]"));
        WriteField(model, 2, trainer.ToArray());

        var normalizer = new MemoryStream();
        WriteField(normalizer, 1, Utf8("identity"));
        WriteField(normalizer, 2, CharacterMap);
        WriteField(normalizer, 3, AddDummyPrefix ? 1 : 0);
        WriteField(normalizer, 4, RemoveExtraWhitespaces ? 1 : 0);
        WriteField(normalizer, 5, EscapeWhitespaces ? 1 : 0);
        WriteField(model, 3, normalizer.ToArray());

        if (DenormalizerCharacterMap.Length > 0)
        {
            var denormalizer = new MemoryStream();
            WriteField(denormalizer, 2, DenormalizerCharacterMap);
            WriteField(model, 5, denormalizer.ToArray());
        }
        return model.ToArray();
    }

    public static void WriteField(Stream message, int field, byte[] value)
    {
        WriteVarint(message, (ulong)(field << 3 | 2));
        WriteVarint(message, (ulong)value.Length);
        message.Write(value);
    }

    public static void WriteField(Stream message, int field, int value)
    {
        WriteVarint(message, (ulong)(field << 3));
        WriteVarint(message, (ulong)value);
    }

    public static void WriteVarint(Stream message, ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            message.WriteByte((byte)(value | 0x80));
        message.WriteByte((byte)value);
    }

    private List<(byte[] Text, float Score, int Type)> AllPieces() => WithBytePieces
        ? [.. Pieces, .. Enumerable.Range(0, 256).Select(b => (Utf8($"<0x{b:X2}>"), 0f, Byte))]
        : Pieces;

    private static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);
}
