using System.Text.Json;
using Grok1Cluster.Model.Tokenizer;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Tokenizer;

/// <summary>Texts with the ids and decoded texts that the SentencePiece library gives for them.</summary>
public class VectorTests
{
    [Fact]
    public void The_demo_tokenizer_gives_SentencePieces_ids_and_texts() => Check(
        Path.Combine(Repository.Root, "models", "demo", "tokenizer.model"), Path.Combine(Repository.TestData, "demo-vectors.jsonl"), 2048, 120);

    [SharedFact("tokenizer/grok-1/vectors.jsonl")]
    public void Grok_1s_tokenizer_gives_SentencePieces_ids_and_texts() => Check(
        Path.Combine(Repository.Shared, "tokenizer/grok-1/tokenizer.model"), Path.Combine(Repository.Shared, "tokenizer/grok-1/vectors.jsonl"), 131072, 300);

    private static void Check(string model, string vectors, int vocabularySize, int count)
    {
        var tokenizer = SentencePieceTokenizer.Load(model);
        Assert.Equal(vocabularySize, tokenizer.VocabularySize);
        var lines = File.ReadAllLines(vectors);
        Assert.Equal(count, lines.Length);
        foreach (var line in lines)
        {
            var vector = JsonDocument.Parse(line).RootElement;
            var ids = vector.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
            Assert.Equal(ids, tokenizer.Encode(vector.GetProperty("text").GetString()));
            Assert.Equal(vector.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
        }
    }
}
