using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Model.Tests.Tokenizer;

/// <summary>A tokenizer.model may be anything: each fault is refused by a message that names the file and the fault.</summary>
public class HostileModelTests
{
    [Fact]
    public void A_sound_model_is_accepted() => Sound().Load();

    [Fact]
    public void A_missing_file_is_named() => AssertFault(() => SentencePieceTokenizer.Load("/nowhere/tokenizer.model"), "/nowhere/tokenizer.model", "cannot read");

    [Fact]
    public void A_folder_in_place_of_the_file_is_named() => AssertFault(() => SentencePieceTokenizer.Load(Path.GetTempPath()), Path.GetTempPath());

    [Fact]
    public void An_empty_file_is_refused() => AssertRefused([], "without pieces");

    [Fact]
    public void A_file_cut_anywhere_is_refused_or_lacks_only_what_may_be_left_out()
    {
        var bytes = Sound().ToBytes();
        for (var length = 0; length < bytes.Length; length++)
        {
            try
            {
                SentencePieceTokenizer.Parse(bytes.AsSpan(0, length), "cut.model");
            }
            catch (ModelException e)
            {
                Assert.StartsWith("cut.model: ", e.Message);
                continue;
            }
            // Only the end of the normaliser, an optional field, may be missing: trainer_spec must have been complete.
            Assert.True(length > bytes.Length - 40, $"{length} of {bytes.Length} bytes were accepted");
        }
    }

    [Theory]
    [InlineData(1, "unigram")]
    [InlineData(3, "word")]
    [InlineData(4, "char")]
    [InlineData(77, "number 77")]
    public void Another_kind_of_model_is_refused_by_name(int type, string name)
    {
        var model = Sound();
        model.ModelType = type;
        AssertRefused(model, $"type {name}; only BPE");
    }

    [Fact]
    public void A_model_that_rewrites_characters_is_refused()
    {
        AssertRefused(new TestModel { CharacterMap = [1, 2, 3] }, "precompiled_charsmap");
        AssertRefused(new TestModel { DenormalizerCharacterMap = [1, 2, 3] }, "precompiled_charsmap");
    }

    [Fact]
    public void Whitespace_as_a_suffix_is_refused() => AssertRefused(new TestModel { TreatWhitespaceAsSuffix = true }, "suffix");

    [Fact]
    public void User_defined_spaces_where_spaces_are_removed_are_refused() =>
        AssertRefused(new TestModel { RemoveExtraWhitespaces = true }.Add("  ", 0, TestModel.UserDefined), "user-defined piece 4");

    [Fact]
    public void The_same_text_twice_is_refused_with_both_ids() => AssertRefused(new TestModel().AddCharacters("ab").Add("a\n").Add("a\n"), "\"a\\n\" is both piece 6 and piece 7");

    [Fact]
    public void A_piece_without_text_is_refused() => AssertRefused(new TestModel().Add(""), "piece 4 has no text");

    [Fact]
    public void A_piece_that_is_not_UTF_8_is_refused_with_its_bytes()
    {
        var model = new TestModel();
        model.Pieces.Add(([0x61, 0xED, 0xA0, 0x80], 0, TestModel.Normal));
        AssertRefused(model, "piece 4 is not UTF-8 text (61EDA080)");
    }

    [Fact]
    public void A_piece_of_absurd_length_is_refused() => AssertRefused(new TestModel().Add(new string('a', 1025)), "1025 bytes");

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_score_that_is_not_a_number_is_refused(float score) => AssertRefused(new TestModel().Add("a", score), "piece 4 (\"a\") has the score");

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void A_piece_of_an_unknown_type_is_refused(int type) => AssertRefused(new TestModel().Add("a", 0, type), $"unknown type {type}");

    [Fact]
    public void A_model_without_the_unknown_piece_or_with_two_is_refused()
    {
        AssertRefused(new TestModel().WithoutPiece("[UNK]"), "no unknown piece");
        AssertRefused(new TestModel().Add("x", 0, TestModel.Unknown), "both piece 3 and piece 4");
    }

    [Fact]
    public void Byte_fallback_without_every_byte_is_refused_with_the_missing_one()
    {
        var model = new TestModel { WithBytePieces = false };
        for (var value = 0; value < 256; value++)
            if (value != 0xE2)
                model.Add($"<0x{value:X2}>", 0, TestModel.Byte);
        AssertRefused(model, "<0xE2> is missing");
    }

    [Theory]
    [InlineData("a")]
    [InlineData("<0x4>")]
    [InlineData("<0xe2>")]
    [InlineData("<0x+1>")]
    [InlineData("<0xGG>")]
    public void A_byte_piece_that_names_no_byte_is_refused(string text) => AssertRefused(new TestModel().Add(text, 0, TestModel.Byte), $"{(text == "a" ? "\"a\"" : "piece 4")}");

    [Fact]
    public void Byte_pieces_without_byte_fallback_are_refused() => AssertRefused(new TestModel { ByteFallback = false }, "byte_fallback is off");

    [Fact]
    public void A_length_past_the_end_or_beyond_64_bits_is_refused_before_anything_is_allocated()
    {
        AssertRefused([0x0A, 0x7F], "field 1 of 127 bytes where 0 are left");
        AssertRefused([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], "18446744073709551615 bytes");
        AssertRefused([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], "more than 10 bytes");
        AssertRefused([0x0A, 0x80], "middle of a number");
    }

    [Fact]
    public void A_field_of_the_wrong_kind_is_refused()
    {
        AssertRefused([0x08, 0x01], "field 1 with wire type 0 in place of 2");
        AssertRefused([0x0B, 0x0C], "field 1 with wire type 3");
        AssertRefused([0x02, 0x00], "a field numbered 0");
        AssertRefused([0x0A, 0x02, 0x10, 0x01], "piece 0 holds field 2 with wire type 0 in place of 5");
    }

    [Fact]
    public void More_pieces_than_any_tokenizer_has_are_refused()
    {
        var model = new MemoryStream();
        for (var i = 0; i <= 1 << 20; i++)
            TestModel.WriteField(model, 1, [0x0A, 0x01, (byte)'a']);
        AssertRefused(model.ToArray(), "more than 1048576 pieces");
    }

    [Fact]
    public void A_file_too_large_is_refused_unread()
    {
        var path = Path.GetTempFileName();
        try
        {
            using (var file = File.OpenWrite(path))
                file.SetLength(1L << 40);
            var before = GC.GetAllocatedBytesForCurrentThread();
            AssertFault(() => SentencePieceTokenizer.Load(path), path, "1099511627776 bytes");
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Fields_of_later_versions_are_passed_over()
    {
        var model = new MemoryStream();
        model.Write([0xC8, 0x3E, 0x05, 0xC9, 0x3E, 1, 2, 3, 4, 5, 6, 7, 8, 0xCD, 0x3E, 1, 2, 3, 4, 0xCA, 0x3E, 2, 0, 0]); // field 1001, each wire type
        model.Write(Sound().ToBytes());
        Assert.Equal(263, SentencePieceTokenizer.Parse(model.ToArray(), "later.model").VocabularySize);
    }

    private static TestModel Sound() => new TestModel().AddCharacters("ab").Add("ab", -1);

    private static void AssertRefused(TestModel model, params string[] said) => AssertRefused(model.ToBytes(), said);

    private static void AssertRefused(byte[] model, params string[] said) =>
        AssertFault(() => SentencePieceTokenizer.Parse(model, "bad.model"), ["bad.model: ", .. said]);

    private static void AssertFault(Action load, params string[] said)
    {
        var message = Assert.Throws<ModelException>(load).Message;
        Assert.All(said, part => Assert.Contains(part, message));
        Assert.DoesNotContain('\n', message);
    }
}
