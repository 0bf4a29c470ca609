using System.Globalization;
using System.Text;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Coordinator.Http.Tokens;

/// <summary>Token ids as text for clients. Without a tokenizer the text of a token is its id.</summary>
internal sealed class TokenTexts(SentencePieceTokenizer? tokenizer)
{
    /// <summary>A decoder of what follows tokens that are known already.</summary>
    public ITokenDecoder Decoder(IReadOnlyList<int> before) =>
        tokenizer is null ? new IdDecoder(before.Count > 0) : new TextDecoder(tokenizer.CreateDecoder(before));

    /// <summary>
    /// What log-probabilities call a token: its text with its space; a byte that is no character of its own as
    /// <c>bytes:\xe2</c>, as OpenAI's API does; a control piece by its name.
    /// </summary>
    public string Name(int id)
    {
        if (tokenizer is null)
            return id.ToString(CultureInfo.InvariantCulture);
        var bytes = tokenizer.PieceBytes(id);
        if (bytes.Length == 0)
            return tokenizer.PieceText(id);
        return bytes is [>= 0x80] ? $"bytes:\\x{bytes[0]:x2}" : Encoding.UTF8.GetString(bytes);
    }

    /// <summary>The UTF-8 bytes that a token adds.</summary>
    public byte[] Bytes(int id) => tokenizer is null ? Encoding.UTF8.GetBytes(Name(id)) : tokenizer.PieceBytes(id);

    private sealed class TextDecoder(IncrementalDecoder decoder) : ITokenDecoder
    {
        public string Append(int id) => decoder.Append(id);

        public string Flush() => decoder.Flush();
    }

    private sealed class IdDecoder(bool following) : ITokenDecoder
    {
        private bool _following = following;

        public string Append(int id)
        {
            var text = _following ? $" {id}" : $"{id}";
            _following = true;
            return text;
        }

        public string Flush() => "";
    }
}

/// <summary>Turns ids into text one at a time; no text ends inside a character.</summary>
internal interface ITokenDecoder
{
    /// <summary>The text that became certain with this id; may be empty.</summary>
    string Append(int id);

    /// <summary>What was held back at the end.</summary>
    string Flush();
}
