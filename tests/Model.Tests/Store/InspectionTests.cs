using System.Text.Json;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Store;

public sealed class InspectionTests : IDisposable
{
    private readonly StoreFixture _stores = new();

    public void Dispose() => _stores.Dispose();

    [Fact]
    public void A_store_is_described_in_numbers_that_add_up()
    {
        var path = _stores.Import("tiny-b", "s");
        var found = StoreInspection.Of(path + "/");
        Assert.Equal(("store", "s", path), (found.Kind, found.Name, found.Path));
        // Written out for EmbeddingDim 96, FeedForwardDim 256, 2 layers of 4 experts, 3 heads of 32, 512 tokens.
        const long shared = 512 * 96 + 96 + 2 * (4 * 96 + 96 * 4 + 4 * 96 * 96), expert = 3 * 96 * 256;
        Assert.Equal(shared + 8 * expert, found.Parameters);
        Assert.Equal(shared + 4 * expert, found.ActiveParameters);
        Assert.Equal(Directory.GetFiles(path, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length), found.FileBytes);
        Assert.Equal(new FileInfo(Path.Combine(path, "dense.bin")).Length, found.DenseBytes);
        Assert.Equal(new FileInfo(Path.Combine(path, "experts/layer-00-expert-0.bin")).Length, found.BytesPerExpert);
        Assert.Equal((8 * found.BytesPerExpert, 4 * found.BytesPerExpert, 4 * found.BytesPerExpert), (found.ExpertBytes, found.ExpertBytesPerLayer, found.ExpertBytesPerToken));
        Assert.Equal(found.DenseBytes - 511 * 96 * 4, found.DenseBytesPerToken);
        Assert.Equal((64L, 64L, true), (found.HeldBlocks, found.TotalBlocks, found.HoldsDense));
        Assert.Empty(found.HeldExperts);
        Assert.Null(found.Tokenizer);
        Assert.Equal(64, found.Fingerprint!.Length);
        Assert.Contains(("held", "all experts"), StoreInspectionTable.Rows(found));
    }

    [Fact]
    public void Sizes_are_told_for_people_in_the_units_of_everything_else()
    {
        var found = StoreInspection.Of(_stores.Import("tiny-b", "s"));
        var rows = StoreInspectionTable.Rows(found).ToDictionary(row => row.Label, row => row.Value);
        Assert.Equal(ByteSize.Format(found.FileBytes), rows["files"]);
        Assert.Equal($"{ByteSize.Format(found.ExpertBytes)}: {ByteSize.Format(found.BytesPerExpert)} an expert, {ByteSize.Format(found.ExpertBytesPerLayer)} a layer", rows["experts"]);
        Assert.EndsWith(" KiB", rows["files"]);
    }

    [Fact]
    public void A_share_says_what_it_holds()
    {
        var path = _stores.Import("tiny-a", "s", new StoreBuildOptions { Slices = [new(0, 1, 32, 96), new(0, 1, 160, 176), new(7, 3, 0, 176)] });
        var found = StoreInspection.Of(path);
        Assert.False(found.HoldsDense);
        Assert.Equal((3L + 6, 6L * 12 * 8), (found.HeldBlocks, found.TotalBlocks));
        Assert.Equal([(0, 1), (7, 3)], found.HeldExperts.Select(held => (held.Layer, held.Expert)));
        Assert.Equal([[32, 96], [160, 176]], found.HeldExperts[0].Columns);
        var rows = StoreInspectionTable.Rows(found);
        Assert.Contains(("  layer 0", "1: [32, 96) [160, 176)"), rows);
        Assert.Contains(("held", "9 of 576 expert blocks"), rows);
    }

    [Theory]
    [InlineData("tiny-a")]
    [InlineData("tiny-a/ckpt-0")]
    public void A_source_is_described_as_its_import_would_be(string name)
    {
        var source = StoreInspection.Of(Path.Combine(Repository.TestData, name));
        var store = StoreInspection.Of(_stores.Import("tiny-a", "s"));
        Assert.Equal(("ckpt-0", "tiny-a"), (source.Kind, source.Name));
        Assert.Null(source.Fingerprint);
        Assert.Equal(store.Config, source.Config);
        Assert.Equal(store.Groups, source.Groups);
        Assert.Equal((store.Parameters, store.DenseBytes, store.ExpertBytes), (source.Parameters, source.DenseBytes, source.ExpertBytes));
        Assert.NotEmpty(StoreInspectionTable.Rows(source));
    }

    [Fact]
    public void The_official_geometry_has_314_billion_parameters()
    {
        // A share of nothing: the numbers follow from the config alone. Routers and norms included, 309.2 of it experts.
        var path = _stores.At("s");
        StoreBuilder.Synthesise(new Grok1Config(), 1, path, new StoreBuildOptions { Slices = [] }, null, CancellationToken.None);
        var found = StoreInspection.Of(path);
        Assert.InRange(found.Parameters, 315.68e9, 315.69e9);
        Assert.Contains(("parameters", "315.7 billion, 83.8 billion met by one token"), StoreInspectionTable.Rows(found));
        Assert.Equal(0, found.HeldBlocks);
    }

    [Fact]
    public void An_inspection_is_good_JSON()
    {
        var json = JsonSerializer.SerializeToElement(StoreInspection.Of(_stores.Import("tiny-b", "s")), JsonSerializerOptions.Web);
        Assert.Equal("store", json.GetProperty("kind").GetString());
        Assert.Equal(96, json.GetProperty("config").GetProperty("embeddingDim").GetInt32());
        Assert.Equal(JsonValueKind.Null, json.GetProperty("tokenizer").ValueKind);
    }

    [Fact]
    public void What_is_no_model_is_refused()
    {
        foreach (var path in (string[])["", Path.GetTempPath(), _stores.At("absent")])
            Assert.Contains("no model here", Assert.Throws<ModelException>(() => StoreInspection.Of(path)).Message);
    }
}
