using System.Text.Json;
using System.Text.Json.Nodes;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

/// <summary>A temporary folder with a checkpoint to use and to break, and a place for stores.</summary>
internal sealed class Workspace : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-verbs-");

    /// <param name="checkpoint">A folder of tests/data.</param>
    public Workspace(string checkpoint = "tiny-b")
    {
        var from = Path.Combine(Repository.TestData, checkpoint);
        Directory.CreateDirectory(Path.Combine(Source, "ckpt-0"));
        File.Copy(Path.Combine(from, "config.json"), ConfigPath);
        foreach (var file in Directory.EnumerateFiles(Path.Combine(from, "ckpt-0")))
            File.Copy(file, Path.Combine(Source, "ckpt-0", Path.GetFileName(file)));
    }

    /// <summary>The tokenizer of the demo model.</summary>
    public static string Tokenizer => Path.Combine(DemoStore, "tokenizer.model");

    public static string DemoStore => Path.Combine(Repository.Root, "models", "demo");

    public string Source => PathTo("tiny");

    public string ConfigPath => Path.Combine(Source, "config.json");

    /// <summary>Where imports go; nothing is there yet.</summary>
    public string Store => PathTo("store");

    /// <summary>Where an import writes before it is complete.</summary>
    public string Staging => $"{Store}.importing";

    public string PathTo(string name) => Path.Combine(_folder.FullName, name);

    public string Tensor(int number) => Path.Combine(Source, "ckpt-0", $"tensor{number:D5}_000");

    public void Configure(string key, JsonNode value)
    {
        var json = JsonNode.Parse(File.ReadAllBytes(ConfigPath))!;
        json[key] = value;
        File.WriteAllText(ConfigPath, json.ToJsonString());
    }

    /// <summary>Bytes that a stopped or running import has written so far.</summary>
    public long StagedBytes()
    {
        try
        {
            return new DirectoryInfo(Staging).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
        }
        // It is being written, and may be renamed while this looks.
        catch (IOException)
        {
            return 0;
        }
    }

    /// <summary>Runs <c>import</c> and expects it to be done.</summary>
    public async Task<JsonElement> ImportAsync(params string[] flags)
    {
        var result = await Grok1Process.RunAsync(["import", Source, Store, "--json", .. flags]);
        Assert.True(result.ExitCode == 0, result.Error);
        return Json(result);
    }

    public static JsonElement Json(Grok1Result result)
    {
        using var document = JsonDocument.Parse(result.Output);
        return document.RootElement.Clone();
    }

    /// <summary>The names of an object's fields, in order: the contract of a verb's JSON.</summary>
    public static string Fields(JsonElement json) => string.Join(' ', json.EnumerateObject().Select(field => field.Name));

    /// <summary>Asserts exit code 3 and one clear line on stderr.</summary>
    public static void AssertRefused(Grok1Result result, string expected)
    {
        Assert.Equal(3, result.ExitCode);
        Assert.StartsWith("grok1: ", result.Error);
        Assert.Single(result.Error.TrimEnd('\n').Split('\n'));
        Assert.Contains(expected, result.Error);
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
