using System.Text;

namespace Grok1Cluster.Model.Tokenizer;

/// <summary>
/// Grok-1's tokenizer: a SentencePiece BPE model with byte fallback and the identity normaliser. Ids and texts equal
/// those of the SentencePiece library; like xAI's runner it adds no beginning-of-sequence id. Safe for any number of
/// threads.
/// </summary>
public sealed class SentencePieceTokenizer
{
    /// <summary>An encoder whose buffers have grown beyond this many units is not kept.</summary>
    private const int MaxKeptCapacity = 1 << 16;

    /// <summary>UTF-16 units of a character, which may be a piece whether or not merging gives one.</summary>
    private const int LongestCharacter = 2;

    private readonly SentencePieceModel _model;
    private readonly PieceVocabulary _pieces;
    private readonly PieceTrie _userDefined = new();
    private readonly TextNormalizer _normalizer;

    /// <summary>The text of each piece with spaces for U+2581, made on first use; two threads may make the same one.</summary>
    private readonly string?[] _surfaces;

    private BpeEncoder? _idleEncoder;

    private SentencePieceTokenizer(SentencePieceModel model, string file)
    {
        _model = model;
        _pieces = new PieceVocabulary(model, file);
        _normalizer = new TextNormalizer(model);
        _surfaces = new string?[_pieces.Count];
        for (var id = 0; id < _pieces.Count; id++)
            if (_pieces[id].Type == PieceType.UserDefined)
                _userDefined.Add(_pieces[id].Text, id);
    }

    /// <summary>Reads a <c>tokenizer.model</c>.</summary>
    /// <exception cref="ModelException">The file is missing, damaged, inconsistent, or of a kind that is not supported.</exception>
    public static SentencePieceTokenizer Load(string path) => new(SentencePieceModelReader.ReadFile(path), path);

    /// <summary>Reads a model from memory.</summary>
    /// <param name="data">A serialised SentencePiece <c>ModelProto</c>.</param>
    /// <param name="name">What errors call it.</param>
    /// <exception cref="ModelException">As for <see cref="Load"/>.</exception>
    public static SentencePieceTokenizer Parse(ReadOnlySpan<byte> data, string name) => new(SentencePieceModelReader.Read(data, name), name);

    /// <summary>Ids run from 0 to one less than this.</summary>
    public int VocabularySize => _pieces.Count;

    /// <summary>A number of ids that the text has at least, known without encoding it: no piece stands for more units than the longest.</summary>
    public int CountAtLeast(ReadOnlySpan<char> text)
    {
        // A run of unknown characters of any length is one id.
        if (!_pieces.HasByteFallback)
            return 0;
        var units = _model.RemoveExtraWhitespaces ? text.Length - text.Count(' ') : text.Length;
        var longest = Math.Max(_pieces.LongestMergeable, LongestCharacter);
        return (units + longest - 1) / longest;
    }

    /// <summary>The ids of a text. An unpaired surrogate counts as U+FFFD.</summary>
    public int[] Encode(ReadOnlySpan<char> text)
    {
        var ids = new List<int>(text.Length / 3 + 1);
        Encode(text, ids);
        return [.. ids];
    }

    /// <summary>Appends the ids of a text to <paramref name="ids"/>.</summary>
    public void Encode(ReadOnlySpan<char> text, List<int> ids)
    {
        var encoder = Interlocked.Exchange(ref _idleEncoder, null) ?? new BpeEncoder(_pieces, _userDefined, _normalizer);
        encoder.Encode(text, ids);
        if (encoder.Capacity <= MaxKeptCapacity)
            _idleEncoder = encoder;
    }

    /// <summary>The text of the ids. Control pieces are invisible; bytes that are not UTF-8 become U+FFFD, each byte one.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id.</exception>
    public string Decode(ReadOnlySpan<int> ids)
    {
        var decoder = CreateDecoder();
        var text = new StringBuilder();
        foreach (var id in ids)
            text.Append(decoder.Append(id));
        return text.Append(decoder.Flush()).ToString();
    }

    /// <summary>A decoder for one sequence whose ids come one after the other.</summary>
    public IncrementalDecoder CreateDecoder() => new(this);

    /// <summary>A decoder for what follows ids that are known already: a generated word keeps the space before it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id.</exception>
    public IncrementalDecoder CreateDecoder(IEnumerable<int> before)
    {
        var decoder = CreateDecoder();
        foreach (var id in before)
            decoder.Append(id);
        return decoder;
    }

    /// <summary>The text that ids add after others.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id.</exception>
    public string DecodeContinuation(IEnumerable<int> before, IEnumerable<int> ids)
    {
        var decoder = CreateDecoder(before);
        return string.Concat(ids.Select(decoder.Append)) + decoder.Flush();
    }

    /// <summary>The piece as the model writes it, with U+2581 for a space: <c>▁the</c>, <c>&lt;0x0A&gt;</c>, <c>[EOS]</c>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id.</exception>
    public string PieceText(int id) => PieceOf(id).Text;

    /// <summary>The UTF-8 bytes an id adds in the middle of a text: none for a control piece, one for a byte piece.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id.</exception>
    public byte[] PieceBytes(int id) =>
        TryGetByte(id, out var value) ? [value] : Encoding.UTF8.GetBytes(Surface(id));

    /// <summary>Whether an id is a byte piece, and which byte.</summary>
    internal bool TryGetByte(int id, out byte value)
    {
        var isByte = PieceOf(id).Type == PieceType.Byte;
        value = isByte ? _pieces.ByteOf(id) : default;
        return isByte;
    }

    /// <summary>The text of a piece that is not a byte, less the space that encoding put before the whole text.</summary>
    /// <param name="atStart">Whether nothing is before it yet; false from the first visible text, or dropped space, on.</param>
    internal string Surface(int id, ref bool atStart)
    {
        var surface = Surface(id);
        var hasPrefix = atStart && (_model.AddDummyPrefix || _model.RemoveExtraWhitespaces)
            && _pieces[id].Type is not (PieceType.Control or PieceType.Unknown) && _pieces[id].Text[0] == PieceVocabulary.Space;
        if (hasPrefix)
            surface = surface[1..];

        // Where extra spaces are removed, every leading piece gives up one; otherwise only the first.
        var dropsMore = hasPrefix && _model.RemoveExtraWhitespaces;
        atStart &= surface.Length == 0 && (!hasPrefix || dropsMore);
        return surface;
    }

    /// <summary>The text of a piece that is not a byte. The id has been checked.</summary>
    private string Surface(int id) => _surfaces[id] ??= _pieces[id] switch
    {
        { Type: PieceType.Control } => "",
        { Type: PieceType.Unknown } => _model.UnknownSurface,
        var piece => piece.Text.Replace(PieceVocabulary.Space, ' '),
    };

    private Piece PieceOf(int id) => (uint)id < (uint)_pieces.Count
        ? _pieces[id]
        : throw new ArgumentOutOfRangeException(nameof(id), id, $"token id {id} is not in the vocabulary of {_pieces.Count}");
}
