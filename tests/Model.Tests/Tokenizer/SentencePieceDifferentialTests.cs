using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Grok1Cluster.Model.Tokenizer;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Tokenizer;

/// <summary>Random models, texts and ids, from fixed seeds, against the SentencePiece library itself.</summary>
public class SentencePieceDifferentialTests
{
    /// <summary>Cases in: [model file, text or ids]; a line out for each: ids, or decoded text.</summary>
    private const string Script = """
        import json, sys
        import sentencepiece
        name = library = None
        for line in sys.stdin:
            model, given = json.loads(line)
            if model != name:
                name, library = model, sentencepiece.SentencePieceProcessor(model_file=model)
            print(json.dumps(library.encode(given) if isinstance(given, str) else library.decode(given)))
        """;

    private static readonly string[] Characters = ["a", "b", "c", "d", "é", "▁", "漢", "😀", "\n"];

    [PythonFact("sentencepiece", "python3-sentencepiece")]
    public void Random_small_models_encode_and_decode_like_the_library()
    {
        using var folder = new TemporaryFolder();
        var random = new Random(20240317);
        var cases = new List<Case>();
        for (var round = 0; round < 60; round++)
        {
            var path = Path.Combine(folder.Path, $"{round}.model");
            File.WriteAllBytes(path, RandomModel(random).ToBytes());
            AddCases(cases, path, 60, random);
        }
        Compare(cases);
    }

    [PythonFact("sentencepiece", "python3-sentencepiece")]
    public void The_demo_tokenizer_encodes_and_decodes_like_the_library()
    {
        var cases = new List<Case>();
        AddCases(cases, Path.Combine(Repository.Root, "models", "demo", "tokenizer.model"), 2000, new Random(1));
        Compare(cases);
    }

    /// <summary>Exactly one of text and ids.</summary>
    private sealed record Case(string Path, SentencePieceTokenizer Tokenizer, string? Text, int[]? Ids);

    private static void AddCases(List<Case> cases, string path, int count, Random random)
    {
        var tokenizer = SentencePieceTokenizer.Load(path);
        for (var i = 0; i < count; i++)
        {
            cases.Add(new Case(path, tokenizer, RandomText(tokenizer, random), null));
            cases.Add(new Case(path, tokenizer, null, RandomIds(tokenizer, random)));
        }
    }

    private static void Compare(List<Case> cases)
    {
        var input = new StringBuilder();
        foreach (var one in cases)
            input.AppendLine(JsonSerializer.Serialize(new[] { one.Path, one.Text ?? (object)one.Ids! }));
        var answers = RunPython(input.ToString()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(cases.Count, answers.Length);
        for (var i = 0; i < cases.Count; i++)
        {
            var (path, tokenizer, text, ids) = cases[i];
            var ours = text is not null ? JsonSerializer.Serialize(tokenizer.Encode(text)) : JsonSerializer.Serialize(tokenizer.Decode(ids));
            var given = text is not null ? JsonSerializer.Serialize(text) : string.Join(' ', ids!.Select(tokenizer.PieceText));
            Assert.True(JsonElement.DeepEquals(JsonDocument.Parse(answers[i]).RootElement, JsonDocument.Parse(ours).RootElement),
                $"{Path.GetFileName(path)}: {given}: library {answers[i]}, ours {ours}");
        }
    }

    private static TestModel RandomModel(Random random)
    {
        var model = new TestModel
        {
            AddDummyPrefix = random.Next(3) > 0,
            RemoveExtraWhitespaces = random.Next(2) == 0,
            EscapeWhitespaces = random.Next(4) > 0,
            UnknownSurface = random.Next(2) == 0 ? "[UNK]" : null,
        };
        model.ByteFallback = model.WithBytePieces = random.Next(3) > 0;
        var known = Characters.Where(_ => random.Next(6) > 0).ToArray();
        var texts = new HashSet<string>(known);
        for (var i = 0; i < 40; i++)
            texts.Add(Concatenate(random, random.Next(1, 5), texts));
        foreach (var text in texts.Order(StringComparer.Ordinal))
        {
            // Few different scores make ties common.
            var type = random.Next(12) switch { 0 => TestModel.UserDefined, 1 => TestModel.Unused, _ => TestModel.Normal };
            model.Add(text, -random.Next(10), type);
        }
        return model;
    }

    private static string Concatenate(Random random, int count, IEnumerable<string> texts)
    {
        var choices = texts.Where(text => text.Length < 6).Order(StringComparer.Ordinal).ToArray();
        return string.Concat(Enumerable.Range(0, count).Select(_ => choices[random.Next(choices.Length)]));
    }

    private static string RandomText(SentencePieceTokenizer tokenizer, Random random)
    {
        var text = new StringBuilder();
        for (var parts = random.Next(30); parts > 0; parts--)
        {
            text.Append(random.Next(8) switch
            {
                0 => new string(' ', random.Next(1, 5)),
                1 => new string("aé \n▁7"[random.Next(6)], random.Next(1, 20)),
                2 => new Rune(RandomScalar(random)).ToString(),
                3 => "\0\r\uFFFD\uFEFF"[random.Next(4)].ToString(),
                4 or 5 => Characters[random.Next(Characters.Length)],
                _ => tokenizer.PieceText(random.Next(tokenizer.VocabularySize)).Replace('▁', ' '),
            });
        }
        return text.ToString();
    }

    private static int[] RandomIds(SentencePieceTokenizer tokenizer, Random random)
    {
        var bytes = Enumerable.Range(0, tokenizer.VocabularySize).Where(id => tokenizer.PieceText(id).StartsWith("<0x")).ToArray();
        var ids = new List<int>();
        for (var parts = random.Next(20); parts > 0; parts--)
        {
            var choice = random.Next(6);
            if (choice == 0 && bytes.Length == 256) // a character in bytes, often cut short
                ids.AddRange(Encoding.UTF8.GetBytes(new Rune(RandomScalar(random)).ToString()).SkipLast(random.Next(2)).Select(value => bytes[value]));
            else if (choice == 1 && bytes.Length == 256)
                ids.Add(bytes[random.Next(256)]);
            else if (choice == 2)
                ids.Add(random.Next(4));
            else
                ids.Add(random.Next(tokenizer.VocabularySize));
        }
        return [.. ids];
    }

    private static int RandomScalar(Random random) => random.Next(4) switch
    {
        0 => random.Next(0x20, 0x7F),
        1 => random.Next(0x80, 0x800),
        2 => random.Next(0xE000, 0x10000),
        _ => random.Next(0x10000, 0x110000),
    };

    private static string RunPython(string input)
    {
        using var process = Process.Start(new ProcessStartInfo(Python.Executable, ["-c", Script])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            StandardInputEncoding = new UTF8Encoding(false),
            StandardOutputEncoding = Encoding.UTF8,
        })!;
        var output = process.StandardOutput.ReadToEndAsync();
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return output.Result;
    }

    private sealed class TemporaryFolder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("grok1-tokenizer-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
