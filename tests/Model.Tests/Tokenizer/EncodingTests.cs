namespace Grok1Cluster.Model.Tests.Tokenizer;

/// <summary>What encoding does with each kind of piece and setting, on models small enough to follow by hand.</summary>
public class EncodingTests
{
    [Fact]
    public void The_pair_with_the_highest_score_is_merged_first()
    {
        var model = new TestModel { AddDummyPrefix = false }.AddCharacters("abc").Add("ab", -2).Add("bc", -1);
        Assert.Equal(["a", "bc"], Pieces(model, "abc"));
    }

    [Fact]
    public void Of_equal_scores_the_leftmost_pair_is_merged_first()
    {
        var model = new TestModel { AddDummyPrefix = false }.AddCharacters("abc").Add("ab", -1).Add("bc", -1).Add("aa", -1);
        Assert.Equal(["ab", "c"], Pieces(model, "abc"));
        Assert.Equal(["aa", "aa", "a"], Pieces(model, "aaaaa"));
    }

    [Fact]
    public void A_positive_score_goes_before_zero_and_zero_before_a_negative_one()
    {
        var model = new TestModel { AddDummyPrefix = false }.AddCharacters("abcd").Add("ab", -0.5f).Add("bc", -0f).Add("cd", 0.5f);
        Assert.Equal(["ab", "cd"], Pieces(model, "abcd"));
        Assert.Equal(["a", "bc"], Pieces(model, "abc"));
    }

    [Fact]
    public void User_defined_pieces_are_matched_longest_first_and_never_merged()
    {
        var model = new TestModel { AddDummyPrefix = false }.AddCharacters("abc").Add("bc", -1).Add("ca", -1)
            .Add("<|", 0, TestModel.UserDefined).Add("<|x|>", 0, TestModel.UserDefined).Add("c", 0, TestModel.UserDefined).WithoutPiece("c");
        Assert.Equal(["b", "c", "a"], Pieces(model, "bca"));
        Assert.Equal(["<|x|>", "a", "<|", "<0x78>", "<0x7C>"], Pieces(model, "<|x|>a<|x|"));
    }

    [Fact]
    public void An_unused_piece_is_written_as_the_pieces_it_was_merged_from()
    {
        var model = new TestModel { AddDummyPrefix = false }.AddCharacters("abcd")
            .Add("bc", -1, TestModel.Unused).Add("abc", -2, TestModel.Unused).Add("abcd", -3);
        Assert.Equal(["a", "b", "c"], Pieces(model, "abc"));
        Assert.Equal(["abcd"], Pieces(model, "abcd"));
    }

    [Fact]
    public void Control_unknown_and_byte_pieces_never_come_from_text()
    {
        var model = new TestModel { AddDummyPrefix = false }.AddCharacters("[]EOSUNK<>0x41").Add("[E", -1).Add("[EO", -1).Add("S]", -1);
        Assert.Equal(["[EO", "S]"], Pieces(model, "[EOS]"));
        Assert.Equal(["[", "U", "N", "K", "]"], Pieces(model, "[UNK]"));
        Assert.Equal(["<", "0", "x", "4", "1", ">"], Pieces(model, "<0x41>"));
    }

    [Fact]
    public void A_character_without_a_piece_becomes_its_bytes()
    {
        var model = new TestModel { AddDummyPrefix = false }.AddCharacters("a");
        Assert.Equal(["a", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "a"], Pieces(model, "a😀a"));
    }

    [Fact]
    public void Without_byte_fallback_a_run_of_unknown_characters_is_one_unknown_piece()
    {
        var model = new TestModel { AddDummyPrefix = false, ByteFallback = false, WithBytePieces = false }.AddCharacters("a");
        Assert.Equal(["[UNK]", "a", "[UNK]"], Pieces(model, "xyzax"));
    }

    [Fact]
    public void A_piece_may_be_merged_across_characters_that_have_no_piece()
    {
        var model = new TestModel { AddDummyPrefix = false }.Add("é漢", -1);
        Assert.Equal(["é漢", "<0xC3>", "<0xA9>"], Pieces(model, "é漢é"));
    }

    [Fact]
    public void Half_a_surrogate_pair_counts_as_the_replacement_character()
    {
        var model = new TestModel { AddDummyPrefix = false }.AddCharacters("a\uFFFD😀");
        Assert.Equal(["a", "\uFFFD", "\uFFFD", "😀", "\uFFFD"], Pieces(model, "a\uDE00\uD83D\uD83D\uDE00\uD83D"));
    }

    [Fact]
    public void Spaces_are_kept_or_removed_as_the_model_says()
    {
        var model = new TestModel().AddCharacters("▁ab");
        Assert.Equal(["▁", "▁", "▁", "a", "▁", "▁", "b", "▁"], Pieces(model, "  a  b "));
        model.RemoveExtraWhitespaces = true;
        Assert.Equal(["▁", "a", "▁", "b"], Pieces(model, "  a  b "));
        Assert.Empty(Pieces(model, "   "));
        model.AddDummyPrefix = false;
        Assert.Equal(["a", "▁", "b"], Pieces(model, "  a  b "));
    }

    [Fact]
    public void Without_escaping_a_space_stays_a_space()
    {
        var model = new TestModel { EscapeWhitespaces = false }.AddCharacters(" a");
        Assert.Equal([" ", "a", " ", "a"], Pieces(model, "a a"));
    }

    [Fact]
    public void Pieces_that_span_words_are_found()
    {
        var model = new TestModel { AddDummyPrefix = false }.AddCharacters("▁ab").Add("a▁", -1).Add("a▁b", -2);
        Assert.Equal(["a▁b", "▁", "b"], Pieces(model, "a b b"));
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("aaaaaa", 2)]
    [InlineData("aaaaaaa", 3)]
    [InlineData("a      a", 3)]
    [InlineData("\U0001F600\U0001F600\U0001F600", 2)]
    public void A_text_has_at_least_as_many_ids_as_the_longest_piece_fits_into_it(string text, int least)
    {
        var tokenizer = new TestModel { AddDummyPrefix = false }.AddCharacters("a\U0001F600").Add("aa", -2).Add("aaa", -1).Add("▁▁", -1).Load();
        Assert.Equal(least, tokenizer.CountAtLeast(text));
        Assert.InRange(tokenizer.Encode(text).Length, least, int.MaxValue);
    }

    [Fact]
    public void Removed_spaces_and_runs_of_unknown_characters_do_not_count_as_ids()
    {
        var single = new TestModel { AddDummyPrefix = false, RemoveExtraWhitespaces = true }.AddCharacters("a▁").Load();
        Assert.Equal((1, 3), (single.CountAtLeast("   a    a  "), single.Encode("   a    a  ").Length));
        var unknown = new TestModel { AddDummyPrefix = false, ByteFallback = false, WithBytePieces = false }.AddCharacters("a").Load();
        Assert.Equal((0, 1), (unknown.CountAtLeast("zzzzzzzz"), unknown.Encode("zzzzzzzz").Length));
    }

    [Fact]
    public void Encoding_appends_to_the_callers_list()
    {
        var tokenizer = new TestModel { AddDummyPrefix = false }.AddCharacters("ab").Load();
        var ids = new List<int> { 1 };
        tokenizer.Encode("ab", ids);
        Assert.Equal([1, 4, 5], ids);
    }

    [Fact]
    public void Many_threads_may_encode_at_once()
    {
        var tokenizer = new TestModel().AddCharacters("▁abcdef").Add("ab", -1).Add("cd", -2).Add("abcd", -3).Load();
        var texts = Enumerable.Range(0, 64).Select(seed => RandomText(new Random(seed), 2000)).ToArray();
        var expected = texts.Select(text => tokenizer.Encode(text)).ToArray();
        Parallel.For(0, 1024, i => Assert.Equal(expected[i % 64], tokenizer.Encode(texts[i % 64])));
    }

    private static string RandomText(Random random, int length) => string.Create(length, random, (text, r) =>
    {
        foreach (ref var unit in text)
            unit = "abcdef "[r.Next(7)];
    });

    private static string[] Pieces(TestModel model, string text)
    {
        var tokenizer = model.Load();
        return [.. tokenizer.Encode(text).Select(tokenizer.PieceText)];
    }
}
