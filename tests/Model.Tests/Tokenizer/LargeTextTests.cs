using System.Diagnostics;
using System.Text;
using Grok1Cluster.Model.Tokenizer;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Tokenizer;

/// <summary>
/// Whatever the text, time grows with its length (times its logarithm), not with its square: 1 MB takes a fraction of a second, where 10^12
/// steps would take a quarter of an hour.
/// </summary>
[Collection(nameof(LargeTextTests))]
public class LargeTextTests
{
    private const string Grok1Model = "tokenizer/grok-1/tokenizer.model";

    /// <summary>Far above what a busy machine needs, far below what the square of the length takes.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    public static TheoryData<string> Kinds => ["a", "spaces", "newlines", "words", "random letters", "random characters", "unpaired surrogates", "almost a piece"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_megabyte_does_not_take_quadratic_time_with_the_demo_tokenizer(string kind) =>
        Check(Path.Combine(Repository.Root, "models", "demo", "tokenizer.model"), Megabyte(kind));

    [SharedFact(Grok1Model)]
    public void A_megabyte_does_not_take_quadratic_time_with_Grok_1s_tokenizer()
    {
        foreach (var kind in Kinds)
            Check(Path.Combine(Repository.Shared, Grok1Model), Megabyte(kind));
    }

    [Fact]
    public void Encoding_a_short_text_again_allocates_nothing_but_the_ids()
    {
        var tokenizer = SentencePieceTokenizer.Load(Path.Combine(Repository.Root, "models", "demo", "tokenizer.model"));
        var ids = new List<int>(1000);
        tokenizer.Encode("My fellow Americans,\n we are é 漢字", ids);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 10; i++)
            tokenizer.Encode("My fellow Americans,\n we are é 漢字", ids);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 10 * 64); // the writer object
    }

    private static void Check(string model, string text)
    {
        var tokenizer = SentencePieceTokenizer.Load(model);
        int[] ids = [];
        AssertEnds(() => ids = tokenizer.Encode(text));
        Assert.InRange(tokenizer.CountAtLeast(text), 1, ids.Length);
        var decoded = "";
        AssertEnds(() => decoded = tokenizer.Decode(ids));
        Assert.Equal(Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)).Replace('▁', ' '), decoded);
    }

    private static void AssertEnds(Action action)
    {
        var clock = Stopwatch.StartNew();
        action();
        Assert.InRange(clock.Elapsed, TimeSpan.Zero, Limit);
    }

    private static string Megabyte(string kind)
    {
        const int Length = 1 << 20;
        var random = new Random(5);
        return kind switch
        {
            "a" => new string('a', Length),
            "spaces" => new string(' ', Length),
            "newlines" => new string('\n', Length),
            "words" => Repeat("The state of the Union is strong, and 1,000 whales were seen.\n", Length),
            "random letters" => string.Create(Length, random, (text, r) => r.GetItems("etaoinshrdlu", text)),
            "random characters" => string.Create(Length, random, (text, r) =>
            {
                foreach (ref var unit in text)
                    unit = (char)r.Next(0x20, 0xD800);
            }),
            "unpaired surrogates" => new string('\uD83D', Length),
            "almost a piece" => Repeat("<|separator|", Length),
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "no such text"),
        };
    }

    private static string Repeat(string text, int length) => new StringBuilder().Insert(0, text, length / text.Length).ToString();
}

/// <summary>Timed tests run alone.</summary>
[CollectionDefinition(nameof(LargeTextTests), DisableParallelization = true)]
public class TimedCollection;
