using System.Text.Json.Nodes;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Tests.Store;

public sealed class HostileManifestTests : IDisposable
{
    private readonly StoreFixture _stores = new();
    private readonly string _store;
    private readonly string _manifest;

    public HostileManifestTests()
    {
        _store = _stores.Import("tiny-b", "s");
        _manifest = Path.Combine(_store, "manifest.json");
    }

    public void Dispose() => _stores.Dispose();

    public static TheoryData<string, string, string> Edits() => new()
    {
        // Path in the manifest, new JSON ("-" removes it), part of the message.
        { "version", "2", "is of version 2, this program reads version 1" },
        { "version", "99999999999999999999", "not a manifest" },
        { "version", "-", "is of version unknown" },
        { "groups", "-", "not a manifest" },
        { "fingerprint", "null", "not a manifest" },
        { "fingerprint", "\"ABCD\"", "fingerprint is not a SHA-256" },
        { "config", "null", "not a manifest" },
        { "config/layerCount", "-2", "LayerCount" },
        { "config/layerCount", "3000000000", "not a manifest" },
        { "config/layerCount", "1000", "tensors of the manifest|its layout has" },
        { "config/embeddingDim", "65536", "weight groups|its layout has|head" },
        { "config/feedForwardDim", "224", "runs of blocks" },
        { "config/vocabularySize", "2097152", "its layout has" },
        { "config/ropeTheta", "1e999", "RopeTheta|not a manifest" },
        { "config/unheardOf", "1", "not a manifest" },
        { "groups", "null", "not a manifest" },
        { "groups/down", "0", "down has 0 weight groups" },
        { "groups/down", "-1", "down has -1 weight groups" },
        { "groups/gate", "7", "gate has 7 weight groups" },
        { "groups/attentionInput", "2147483647", "attentionInput has" },
        { "expertWeights", "\"int3\"", "not a manifest" },
        { "expertWeights", "0", "not a manifest" },
        { "expertWeights", "\"float32\"", "its layout has" },
        { "expertWeights", "\"int4\"", "weight groups|its layout has" },
        { "denseWeights", "\"int4\"", "denseWeights is int4" },
        { "expertBlockWidth", "0", "expertBlockWidth is 0" },
        { "expertBlockWidth", "-32", "expertBlockWidth is -32" },
        { "expertBlockWidth", "64", "runs of blocks|block hashes" },
        { "dense/file", "\"../dense.bin\"", "must be dense.bin" },
        { "dense/file", "\"/etc/passwd\"", "must be dense.bin" },
        { "dense/bytes", "-1", "its layout has" },
        { "dense/bytes", "9223372036854775807", "its layout has" },
        { "dense/sha256", "\"xyz\"", "dense.bin: its sha256" },
        { "dense", "null", "tensors of the manifest" },
        { "tensors", "null", "not a manifest" },
        { "tensors", "[]", "tensors of the manifest" },
        { "tensors/0", "null", "tensors of the manifest" },
        { "tensors/3/offset", "-64", "tensors of the manifest" },
        { "tensors/3/shape/0", "1", "tensors of the manifest" },
        { "tensors/3/shape", "null", "not a manifest" },
        { "tokenizer", "{\"file\":\"../../tokenizer.model\",\"bytes\":5,\"sha256\":\"\"}", "must be tokenizer.model" },
        { "tokenizer", "{\"file\":\"tokenizer.model\",\"bytes\":5,\"sha256\":\"00\"}", "its sha256" },
        { "experts", "null", "not a manifest" },
        { "experts", "{}", "not a manifest" },
        { "experts/2", "null", "an expert is null" },
        { "experts/2/layer", "-1", "layer -1 expert 2 is outside" },
        { "experts/2/layer", "2", "layer 2 expert 2 is outside" },
        { "experts/2/expert", "2147483647", "is outside" },
        { "experts/2/expert", "1", "occurs twice" },
        { "experts/2/file/file", "\"experts/../../x.bin\"", "must be in experts/layer-00-expert-2.bin" },
        { "experts/2/file/file", "\"experts/layer-00-expert-1.bin\"", "must be in" },
        { "experts/2/file", "null", "not a manifest" },
        { "experts/2/file/bytes", "0", "its layout has" },
        { "experts/2/file/sha256", "\"" + "zz" + "\"", "a hash is not" },
        { "experts/2/firstBlocks", "[]", "runs of blocks" },
        { "experts/2/firstBlocks", "[-1]", "runs of blocks" },
        { "experts/2/firstBlocks", "[0,4]", "runs of blocks" },
        { "experts/2/firstBlocks", "null", "not a manifest" },
        { "experts/2/endBlocks", "[9]", "runs of blocks" },
        { "experts/2/endBlocks", "[0]", "runs of blocks" },
        { "experts/2/endBlocks", "[2147483647]", "runs of blocks" },
        { "experts/2/endBlocks", "[2147483648]", "not a manifest" },
        { "experts/2/blockSha256", "[]", "0 block hashes for 8" },
        { "experts/2/blockSha256/3", "null", "a hash is not" },
        { "experts/2/blockSha256/3", "\"\"", "a hash is not" },
        { "experts/2/blockSha256/3", "\"" + "é" + "\"", "a hash is not" },
    };

    [Theory]
    [MemberData(nameof(Edits))]
    public void A_manifest_that_breaks_a_rule_is_refused(string path, string value, string expected)
    {
        StoreFixture.EditManifest(_store, json =>
        {
            var steps = path.Split('/');
            JsonNode node = json;
            foreach (var step in steps[..^1])
                node = int.TryParse(step, out var index) ? node[index]! : node[step]!;
            if (value == "-")
                node.AsObject().Remove(steps[^1]);
            else if (int.TryParse(steps[^1], out var last))
                node[last] = JsonNode.Parse(value);
            else
                node[steps[^1]] = JsonNode.Parse(value);
        });
        var error = Assert.Throws<ModelException>(() => ModelStore.Open(_store));
        Assert.Contains(expected.Split('|'), part => error.Message.Contains(part));
        Assert.DoesNotContain('\n', error.Message);
        Assert.Equal([error.Message], StoreFixture.Verify(_store).Problems);
    }

    public static TheoryData<string> Texts() => new()
    {
        "", " ", "null", "[]", "1", "\"x\"", "{", "{}", "{\"version\":1}", "{\"version\":1,\"version\":1}", "{\"\\ud800\":1}", "{\"version\":1,\"fingerprint\":\"\\udc00\"}",
        new string('[', 100_000), string.Concat(Enumerable.Repeat("{\"config\":", 50_000)), "\uFEFF{}", "{\"version\":1e400}", "{\"version\":\"1\"}", "\0\0\0\0",
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void What_is_no_manifest_is_refused_in_one_line(string text)
    {
        File.WriteAllText(_manifest, text);
        var error = Assert.Throws<ModelException>(() => ModelStore.Open(_store));
        Assert.StartsWith(_manifest, error.Message);
        Assert.DoesNotContain('\n', error.Message);
        Assert.True(error.Message.Length < 800);
    }

    [Fact]
    public void A_field_twice_is_refused()
    {
        var text = File.ReadAllText(_manifest);
        File.WriteAllText(_manifest, text[..^1] + ",\"experts\":[]}");
        Assert.Contains("not a manifest", Assert.Throws<ModelException>(() => ModelStore.Open(_store)).Message);
    }

    [Fact]
    public void A_huge_manifest_is_refused_before_it_is_read()
    {
        using (var file = File.OpenWrite(_manifest))
            file.SetLength(1L << 42);
        var before = GC.GetTotalAllocatedBytes();
        Assert.Contains("too many for a manifest", Assert.Throws<ModelException>(() => ModelStore.Open(_store)).Message);
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 50 << 20);
    }

    [Fact]
    public void A_folder_or_noise_in_the_place_of_the_manifest_is_refused()
    {
        var noise = new byte[10_000];
        new Random(3).NextBytes(noise);
        File.WriteAllBytes(_manifest, noise);
        Assert.Throws<ModelException>(() => ModelStore.Open(_store));
        File.Delete(_manifest);
        Directory.CreateDirectory(_manifest);
        Assert.Throws<ModelException>(() => ModelStore.Open(_store));
    }
}
