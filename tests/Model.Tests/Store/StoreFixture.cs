using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Store;

/// <summary>A folder for stores, removed at the end; its name has a space and an umlaut.</summary>
internal sealed class StoreFixture : IDisposable
{
    /// <summary>A small geometry of awkward sizes: nothing is a multiple of 32, 3 layers, 3 experts.</summary>
    public static readonly Grok1Config Odd = new()
    {
        EmbeddingDim = 72, FeedForwardDim = 88, LayerCount = 3, QueryHeadCount = 6, KeyValueHeadCount = 3, HeadDim = 12, ExpertCount = 3, VocabularySize = 300, MaxSequenceLength = 64,
    };

    private readonly string _root = Directory.CreateTempSubdirectory("störe s-").FullName;

    public string At(string name) => Path.Combine(_root, name);

    public string Import(string data, string name, StoreBuildOptions? options = null)
    {
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, data));
        return Import(checkpoint, name, options);
    }

    public string Import(ICheckpoint checkpoint, string name, StoreBuildOptions? options = null, IProgress<StoreProgress>? progress = null, CancellationToken cancel = default)
    {
        StoreBuilder.Import(checkpoint, At(name), options ?? new StoreBuildOptions(), progress, cancel);
        return At(name);
    }

    public string Synthesise(string name, long seed = 1, StoreBuildOptions? options = null, Grok1Config? config = null)
    {
        StoreBuilder.Synthesise(config ?? Odd, seed, At(name), options ?? new StoreBuildOptions(), null, CancellationToken.None);
        return At(name);
    }

    public static StoreVerification Verify(string store) => StoreVerifier.Verify(store, threads: 2, null, CancellationToken.None);

    /// <summary>Relative path and content hash of every file.</summary>
    public static SortedDictionary<string, string> Contents(string directory) => new(
        Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories).ToDictionary(
            file => Path.GetRelativePath(directory, file), file => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file)))),
        StringComparer.Ordinal);

    public static void Change(string file, long position, params byte[] bytes)
    {
        using var stream = File.OpenWrite(file);
        stream.Position = position;
        stream.Write(bytes);
    }

    /// <summary>Changes the manifest as JSON.</summary>
    public static void EditManifest(string store, Action<JsonObject> edit)
    {
        var path = Path.Combine(store, StoreManifest.FileName);
        var json = JsonNode.Parse(File.ReadAllBytes(path))!.AsObject();
        edit(json);
        File.WriteAllText(path, json.ToJsonString());
    }

    /// <summary>Makes the manifest's hashes those of the files, so that only the value rules can object.</summary>
    public static void Rehash(string store)
    {
        using var opened = ModelStore.Open(store);
        EditManifest(store, json =>
        {
            if (json["dense"] is JsonObject dense)
                dense["sha256"] = Hash(File.ReadAllBytes(Path.Combine(store, "dense.bin")));
            foreach (var expert in json["experts"]!.AsArray())
            {
                var bytes = File.ReadAllBytes(Path.Combine(store, (string)expert!["file"]!["file"]!));
                expert["file"]!["sha256"] = Hash(bytes);
                var at = 0;
                for (var block = 0; block < opened.ExpertLayout.Blocks.Count; block++)
                {
                    var length = (int)opened.ExpertLayout.Blocks[block].Bytes;
                    expert["blockSha256"]![block] = Hash(bytes.AsSpan(at, length));
                    at += length;
                }
            }
        });
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static string Hash(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}

/// <summary>Reports on the thread that works, unlike <see cref="Progress{T}"/>.</summary>
internal sealed class ImmediateProgress(Action<StoreProgress> report) : IProgress<StoreProgress>
{
    public void Report(StoreProgress value) => report(value);
}
