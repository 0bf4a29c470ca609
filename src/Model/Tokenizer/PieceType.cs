namespace Grok1Cluster.Model.Tokenizer;

/// <summary>What a piece is; the values of <c>ModelProto.SentencePiece.Type</c>.</summary>
internal enum PieceType : byte
{
    Normal = 1,
    Unknown = 2,

    /// <summary>Invisible in text: beginning and end of a sequence, padding.</summary>
    Control = 3,

    /// <summary>Matched in the text before any merge, longest first, and never merged.</summary>
    UserDefined = 4,

    /// <summary>Takes part in merges, but is written as the pieces it was merged from.</summary>
    Unused = 5,

    /// <summary>One byte of a character that no piece covers, written <c>&lt;0xE2&gt;</c>.</summary>
    Byte = 6,
}
