using System.Text.Json;

namespace Grok1Cluster.Model.Tokenizer;

/// <summary>One entry of the vocabulary; its id is its place in the model.</summary>
/// <param name="Text">Never empty; U+2581 stands for a space.</param>
/// <param name="Score">Finite; among possible merges the highest score goes first.</param>
internal readonly record struct Piece(string Text, float Score, PieceType Type);

/// <summary>
/// What a <c>tokenizer.model</c> says, as far as encoding and decoding need it. The defaults are those of
/// <c>sentencepiece_model.proto</c>.
/// </summary>
internal sealed class SentencePieceModel
{
    public List<Piece> Pieces { get; } = [];

    /// <summary><c>trainer_spec.model_type</c>: 1 unigram, 2 BPE, 3 word, 4 char.</summary>
    public long ModelType { get; set; } = 1;

    /// <summary>Characters without a piece become their UTF-8 bytes in place of the unknown piece.</summary>
    public bool ByteFallback { get; set; }

    public bool TreatWhitespaceAsSuffix { get; set; }

    /// <summary>What the unknown piece looks like in decoded text.</summary>
    public string UnknownSurface { get; set; } = " \u2047 ";

    /// <summary>A space is put before the text, so that its first word looks like any other.</summary>
    public bool AddDummyPrefix { get; set; } = true;

    /// <summary>Spaces at both ends are dropped and runs of them become one.</summary>
    public bool RemoveExtraWhitespaces { get; set; } = true;

    /// <summary>Spaces become U+2581 before pieces are looked up.</summary>
    public bool EscapeWhitespaces { get; set; } = true;

    /// <summary>The normaliser or denormaliser rewrites characters by a table (NFKC and the like).</summary>
    public bool HasCharacterMap { get; set; }

    /// <summary>A text from the file for an error message: quoted, on one line, not long.</summary>
    public static string Quote(string text) =>
        text.Length <= 40 ? $"\"{JsonEncodedText.Encode(text)}\"" : $"a text of {text.Length} characters";
}
