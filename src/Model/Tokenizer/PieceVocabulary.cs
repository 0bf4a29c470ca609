using System.Globalization;

namespace Grok1Cluster.Model.Tokenizer;

/// <summary>The pieces of one model, checked as a whole and indexed by text. Immutable.</summary>
internal sealed class PieceVocabulary
{
    /// <summary>U+2581, which stands for a space inside pieces.</summary>
    public const char Space = '\u2581';

    private readonly Piece[] _pieces;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _ids;
    private readonly int[] _byteIds = new int[256];

    /// <exception cref="ModelException">The same text twice, no unknown piece or several, byte pieces that are wrong or missing.</exception>
    public PieceVocabulary(SentencePieceModel model, string file)
    {
        _pieces = [.. model.Pieces];
        var ids = new Dictionary<string, int>(_pieces.Length, StringComparer.Ordinal);
        _ids = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        Array.Fill(_byteIds, -1);
        var unknown = -1;
        for (var id = 0; id < _pieces.Length; id++)
        {
            var piece = _pieces[id];
            if (!ids.TryAdd(piece.Text, id))
                throw new ModelException($"{file}: the text {SentencePieceModel.Quote(piece.Text)} is both piece {ids[piece.Text]} and piece {id}.");
            if (IsMergeable(id))
            {
                LongestMergeable = Math.Max(LongestMergeable, piece.Text.Length);
                SpaceOnlyStartsWords &= !HasSpaceAfterOther(piece.Text);
            }
            else if (piece.Type == PieceType.Unknown)
            {
                if (unknown >= 0)
                    throw new ModelException($"{file}: both piece {unknown} and piece {id} are the unknown piece.");
                unknown = id;
            }
            else if (piece.Type == PieceType.Byte)
            {
                if (!model.ByteFallback)
                    throw new ModelException($"{file}: piece {id} ({SentencePieceModel.Quote(piece.Text)}) is a byte, but byte_fallback is off.");
                _byteIds[ParseByte(piece.Text) ?? throw new ModelException($"{file}: piece {id} ({SentencePieceModel.Quote(piece.Text)}) is not a byte such as <0x0A>.")] = id;
            }
        }
        if (unknown < 0)
            throw new ModelException($"{file}: the model has no unknown piece.");
        UnknownId = unknown;
        HasByteFallback = model.ByteFallback;
        if (HasByteFallback && Array.IndexOf(_byteIds, -1) is >= 0 and var missing)
            throw new ModelException($"{file}: byte_fallback is on, but the byte piece <0x{missing:X2}> is missing.");
    }

    public int Count => _pieces.Length;

    public int UnknownId { get; }

    public bool HasByteFallback { get; }

    /// <summary>No merge gives more UTF-16 units than this.</summary>
    public int LongestMergeable { get; }

    /// <summary>
    /// No mergeable piece has a space after another character, so text can be cut before every word and the parts
    /// merged alone. True for models trained with <c>split_by_whitespace</c>.
    /// </summary>
    public bool SpaceOnlyStartsWords { get; } = true;

    public Piece this[int id] => _pieces[id];

    /// <summary>The id of the piece with this text, of whatever type; <see cref="UnknownId"/> without one.</summary>
    public int IdOrUnknown(ReadOnlySpan<char> text) => _ids.TryGetValue(text, out var id) ? id : UnknownId;

    /// <summary>Whether merging may give this text. Control, unknown and byte pieces never come from text.</summary>
    public bool TryGetMergeable(ReadOnlySpan<char> text, out int id)
    {
        id = -1;
        return text.Length <= LongestMergeable && _ids.TryGetValue(text, out id) && IsMergeable(id);
    }

    /// <summary>The piece that stands for one byte; only with <see cref="HasByteFallback"/>.</summary>
    public int ByteId(byte value) => _byteIds[value];

    /// <summary>The byte that a piece of type <see cref="PieceType.Byte"/> stands for.</summary>
    public byte ByteOf(int id) => ParseByte(_pieces[id].Text)!.Value;

    private bool IsMergeable(int id) => _pieces[id].Type is PieceType.Normal or PieceType.UserDefined or PieceType.Unused;

    private static bool HasSpaceAfterOther(string text)
    {
        var word = text.AsSpan().TrimStart(Space);
        return word.Contains(Space);
    }

    private static byte? ParseByte(string text) =>
        text is ['<', '0', 'x', var high, var low, '>'] && char.IsAsciiHexDigitUpper(high) && char.IsAsciiHexDigitUpper(low)
            ? byte.Parse(text.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)
            : null;
}
