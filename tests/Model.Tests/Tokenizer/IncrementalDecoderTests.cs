using System.Text;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Model.Tests.Tokenizer;

public class IncrementalDecoderTests
{
    private readonly TestModel _model = new TestModel().AddCharacters("▁ab😀").Add("▁ab", -1);
    private readonly SentencePieceTokenizer _tokenizer;

    public IncrementalDecoderTests() => _tokenizer = _model.Load();

    [Fact]
    public void The_space_put_before_the_text_is_dropped_once()
    {
        Assert.Equal(["ab", " ab", " "], Append("▁ab", "▁ab", "▁"));
        Assert.Equal(["", " ", "a"], Append("▁", "▁", "a"));
        Assert.Equal(["", "", "ab", " ab"], Append("[BOS]", "[PAD]", "▁ab", "▁ab"));
        Assert.Equal(["a", " ab"], Append("a", "▁ab"));
    }

    [Fact]
    public void Control_pieces_are_invisible_and_the_unknown_piece_shows_its_surface()
    {
        Assert.Equal(["a", "", "b"], Append("a", "[EOS]", "b"));
        Assert.Equal(["a", " \u2047 "], Append("a", "[UNK]"));
        _model.UnknownSurface = "?";
        Assert.Equal("a?", _model.Load().Decode([_model.IdOf("a"), 3]));
    }

    [Fact]
    public void A_character_in_bytes_appears_with_its_last_byte()
    {
        Assert.Equal(["", "", "", "😀", "a"], Append("<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "a"));
        Assert.Equal(["A", "", "é"], Append("<0x41>", "<0xC3>", "<0xA9>"));
    }

    [Fact]
    public void Each_byte_that_belongs_to_no_character_becomes_a_replacement_character()
    {
        Assert.Equal(["\uFFFD", "a"], Append("<0x80>", "a"));
        Assert.Equal(["", "", "\uFFFD\uFFFDa"], Append("<0xE6>", "<0xBC>", "a"));
        Assert.Equal(["", "", "\uFFFD\uFFFDA"], Append("<0xE6>", "<0xBC>", "<0x41>"));
        Assert.Equal(["", "", "\uFFFD\uFFFD", "é"], Append("<0xE6>", "<0xBC>", "<0xC3>", "<0xA9>"));
        Assert.Equal(["", "\uFFFD\uFFFD", "\uFFFD"], Append("<0xED>", "<0xA0>", "<0x80>")); // a surrogate
        Assert.Equal(["\uFFFD", "\uFFFD"], Append("<0xC0>", "<0xAF>")); // an overlong slash
    }

    [Fact]
    public void A_control_piece_ends_an_incomplete_character()
    {
        Assert.Equal(["", "\uFFFD", "\uFFFD"], Append("<0xC3>", "[EOS]", "<0xA9>"));
    }

    [Fact]
    public void Flush_gives_the_incomplete_character_at_the_end_once()
    {
        var decoder = _tokenizer.CreateDecoder();
        Assert.Equal("", decoder.Append(_model.IdOf("<0xF0>")));
        Assert.Equal("", decoder.Append(_model.IdOf("<0x9F>")));
        Assert.Equal("\uFFFD\uFFFD", decoder.Flush());
        Assert.Equal("", decoder.Flush());
        Assert.Equal(" ab", decoder.Append(_model.IdOf("▁ab")));
    }

    [Fact]
    public void Random_ids_give_the_same_text_at_once_and_one_by_one_and_never_part_of_a_character()
    {
        var random = new Random(7);
        for (var round = 0; round < 500; round++)
        {
            var ids = Enumerable.Range(0, random.Next(60)).Select(_ => random.Next(_tokenizer.VocabularySize)).ToArray();
            var decoder = _tokenizer.CreateDecoder();
            string[] strings = [.. ids.Select(decoder.Append), decoder.Flush()];
            Assert.All(strings, AssertWellFormed);
            Assert.Equal(_tokenizer.Decode(ids), string.Concat(strings));
        }
    }

    [Fact]
    public void Any_text_survives_encoding_and_decoding_one_by_one()
    {
        foreach (var text in new[] { "ab ab", " a", "漢字かな", "e\u0301 👩‍👩‍👧 \0\r\n", "\uFFFD😀\U0010FFFF" })
            Assert.Equal(text, string.Concat(Append([.. _tokenizer.Encode(text).Select(_tokenizer.PieceText)])));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(265)]
    [InlineData(int.MaxValue)]
    [InlineData(int.MinValue)]
    public void An_id_outside_the_vocabulary_is_named_and_changes_nothing(int id)
    {
        var decoder = _tokenizer.CreateDecoder();
        decoder.Append(_model.IdOf("<0xC3>"));
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => decoder.Append(id));
        Assert.Equal(id, error.ActualValue);
        Assert.Contains($"token id {id} is not in the vocabulary of 265", error.Message);
        Assert.Equal("é", decoder.Append(_model.IdOf("<0xA9>")));
        Assert.Throws<ArgumentOutOfRangeException>(() => _tokenizer.PieceText(id));
        Assert.Throws<ArgumentOutOfRangeException>(() => _tokenizer.PieceBytes(id));
        Assert.Throws<ArgumentOutOfRangeException>(() => _tokenizer.Decode([id]));
    }

    [Fact]
    public void Every_id_has_a_text_and_bytes_for_display()
    {
        Assert.Equal("▁ab", _tokenizer.PieceText(_model.IdOf("▁ab")));
        Assert.Equal(" ab"u8.ToArray(), _tokenizer.PieceBytes(_model.IdOf("▁ab")));
        Assert.Equal("<0xC3>", _tokenizer.PieceText(_model.IdOf("<0xC3>")));
        Assert.Equal([0xC3], _tokenizer.PieceBytes(_model.IdOf("<0xC3>")));
        Assert.Equal("[EOS]", _tokenizer.PieceText(2));
        Assert.Empty(_tokenizer.PieceBytes(2));
    }

    private static void AssertWellFormed(string text) =>
        Assert.Equal(text, new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(new UTF8Encoding(false, true).GetBytes(text)));

    private string[] Append(params string[] pieces)
    {
        var decoder = _tokenizer.CreateDecoder();
        return [.. pieces.Select(piece => decoder.Append(_model.IdOf(piece)))];
    }
}
