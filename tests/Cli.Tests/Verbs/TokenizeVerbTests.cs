using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

public sealed class TokenizeVerbTests : IDisposable
{
    private readonly Workspace _workspace = new();

    private static string Vectors => Path.Combine(Repository.TestData, "demo-vectors.jsonl");

    public void Dispose() => _workspace.Dispose();

    [Fact]
    public async Task Every_line_of_a_jsonl_file_gives_the_ids_and_the_text_of_the_SentencePiece_library()
    {
        var result = await Grok1Process.RunAsync("tokenize", "--model", "demo", "--jsonl", Vectors);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        var (expected, actual) = (File.ReadAllLines(Vectors), result.Output.TrimEnd('\n').Split('\n'));
        Assert.Equal(expected.Length, actual.Length);
        foreach (var (want, got) in expected.Zip(actual))
        {
            using var wanted = JsonDocument.Parse(want);
            using var found = JsonDocument.Parse(got);
            Assert.Equal("ids decoded", Workspace.Fields(found.RootElement));
            Assert.Equal(Ids(wanted.RootElement), Ids(found.RootElement));
            Assert.Equal(wanted.RootElement.GetProperty("decoded").GetString(), found.RootElement.GetProperty("decoded").GetString());
        }
    }

    [Fact]
    public async Task A_text_a_file_and_stdin_give_the_same_ids()
    {
        var file = _workspace.PathTo("text");
        File.WriteAllText(file, "My fellow Americans");
        var text = await Grok1Process.RunAsync("tokenize", "--text", "My fellow Americans", "--json");
        var fromFile = await Grok1Process.RunAsync("tokenize", "--file", file, "--json");
        var fromInput = await Grok1Process.RunAsync(new(Grok1Process.ExecutablePath, ["tokenize", "--file", "-", "--json"]), "My fellow Americans");
        Assert.Equal((0, ""), (text.ExitCode, text.Error));
        Assert.Equal("ids", Workspace.Fields(Workspace.Json(text)));
        Assert.Equal([481, 1995, 660, 1058, 1248], Ids(Workspace.Json(text)));
        Assert.Equal((0, text.Output), (fromFile.ExitCode, fromFile.Output));
        Assert.Equal((0, text.Output), (fromInput.ExitCode, fromInput.Output));
    }

    [Fact]
    public async Task People_see_ids_and_pieces_in_a_line_each()
    {
        var result = await Grok1Process.RunAsync("tokenize", "--text", "My\n Americans");
        Assert.Equal("ids:    481 1995 4 1248\npieces: ▁M y \\n ▁Americans\n", result.Output);
    }

    [Fact]
    public async Task A_tokenizer_file_and_a_folder_with_one_need_no_weights()
    {
        var folder = Directory.CreateDirectory(_workspace.PathTo("only-a-tokenizer")).FullName;
        File.Copy(Workspace.Tokenizer, Path.Combine(folder, "tokenizer.model"));
        foreach (var model in new[] { Workspace.Tokenizer, folder })
            Assert.Equal(0, (await Grok1Process.RunAsync("tokenize", "--model", model, "--text", "a")).ExitCode);
    }

    [Fact]
    public async Task A_model_without_a_tokenizer_takes_no_text() =>
        Workspace.AssertRefused(await Grok1Process.RunAsync("tokenize", "--model", _workspace.Source, "--text", "a"), "has no tokenizer.model");

    [Fact]
    public async Task A_path_without_a_model_is_refused() =>
        Workspace.AssertRefused(await Grok1Process.RunAsync("tokenize", "--model", "/no/such/model", "--text", "a"), "/no/such/model: no model here");

    [Theory]
    [InlineData("{\"text\": \"a\"}\nnoise", "line 2 of - is not JSON")]
    [InlineData("{\"txt\": \"a\"}", "line 1 of - is not an object with a text")]
    [InlineData("{\"text\": \"\\ud800\"}", "line 1 of - is not JSON")]
    public async Task A_line_that_is_not_a_text_is_named(string input, string message)
    {
        var result = await Grok1Process.RunAsync(new(Grok1Process.ExecutablePath, ["tokenize", "--jsonl", "-"]), input);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(message, result.Error);
    }

    private static IEnumerable<int> Ids(JsonElement json) => json.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32());
}
