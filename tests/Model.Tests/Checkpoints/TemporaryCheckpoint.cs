using System.Text.Json.Nodes;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Checkpoints;

/// <summary>A copy of tiny-b (2 layers, EmbeddingDim 96, FeedForwardDim 256, 3 heads of 32, 4 experts) to break.</summary>
internal sealed class TemporaryCheckpoint : IDisposable
{
    public TemporaryCheckpoint()
    {
        var source = System.IO.Path.Combine(Repository.TestData, "tiny-b");
        Directory.CreateDirectory(Tensors);
        File.Copy(System.IO.Path.Combine(source, "config.json"), ConfigPath);
        foreach (var file in Directory.EnumerateFiles(System.IO.Path.Combine(source, "ckpt-0")))
            File.Copy(file, System.IO.Path.Combine(Tensors, System.IO.Path.GetFileName(file)));
    }

    public string Path { get; } = Directory.CreateTempSubdirectory("ckpt0-").FullName;

    public string Tensors => System.IO.Path.Combine(Path, "ckpt-0");

    public string ConfigPath => System.IO.Path.Combine(Path, "config.json");

    public string Tensor(int number) => System.IO.Path.Combine(Tensors, $"tensor{number:D5}_000");

    public void Replace(int number, PickleBuilder pickle) => File.WriteAllBytes(Tensor(number), pickle.Op('.').ToArray());

    public void Configure(string key, JsonNode value)
    {
        var json = JsonNode.Parse(File.ReadAllBytes(ConfigPath))!;
        json[key] = value;
        File.WriteAllText(ConfigPath, json.ToJsonString());
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
