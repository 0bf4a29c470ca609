namespace Grok1Cluster.Model.Tests;

public sealed class ByteSizeTests
{
    [Theory]
    [InlineData(1000, "1000 bytes")]
    [InlineData(41_794_560_000, "38.9 GiB (41794560000 bytes)")]
    public void Figures_that_are_compared_are_exact(long bytes, string text) => Assert.Equal(text, ByteSize.FormatExactly(bytes));

    [Theory]
    [InlineData("1", 1)]
    [InlineData("500000000", 500_000_000)]
    [InlineData("7B", 7)]
    [InlineData("16GiB", 17_179_869_184)]
    [InlineData("16GB", 16_000_000_000)]
    [InlineData("16 gib", 17_179_869_184)]
    [InlineData("1.5MiB", 1_572_864)]
    [InlineData("2KB", 2_000)]
    [InlineData("1TiB", 1_099_511_627_776)]
    [InlineData("9223372036854775807", long.MaxValue)]
    public void A_size_is_read_with_powers_of_1024_and_of_1000(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out var parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("GiB")]
    [InlineData("0")]
    [InlineData("-1")]
    [InlineData("0.1B")]
    [InlineData("16GIGS")]
    [InlineData("1e9")]
    [InlineData("1,5GB")]
    [InlineData("NaN")]
    [InlineData("9223372036854775808")]
    [InlineData("8388608TiB")]
    [InlineData("99999999999999999999999999999999TiB")]
    public void What_is_no_positive_size_is_refused(string text) => Assert.False(ByteSize.TryParse(text, out _));

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(17_179_869_184, "16.0 GiB")]
    [InlineData(long.MaxValue, "8388608.0 TiB")]
    public void A_size_is_shown_in_its_largest_unit(long bytes, string text) => Assert.Equal(text, ByteSize.Format(bytes));
}
