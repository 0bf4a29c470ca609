using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grok1Cluster.Cluster.Costs;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Costs;
using static Grok1Cluster.Cluster.Tests.Plans.Geometries;

namespace Grok1Cluster.Cluster.Tests.Plans;

public sealed class PlanFileTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-plan-");

    private static readonly AutoInputs Inputs = new(Examples.SmallCosts, Fleet.Assumed(Workers(2)));

    private string PlanPath => Path.Combine(_folder.FullName, "plan.json");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void A_saved_plan_comes_back_the_same()
    {
        foreach (var plan in new[] { Planner.Sliced(NarrowLastBlock, Workers(3)), Planner.Whole(NarrowLastBlock, Workers(4)) })
        {
            PlanFile.Save(PlanPath, plan);
            var loaded = PlanFile.Load(PlanPath, NarrowLastBlock);
            Assert.Equal(PlanJson.Serialize(plan), PlanJson.Serialize(loaded));
            Assert.Equal(plan.Bundles.SelectMany(bundle => bundle.Tiles), loaded.Bundles.SelectMany(bundle => bundle.Tiles));
            Assert.Equal([PlanPath], Directory.GetFiles(_folder.FullName));
        }
    }

    [Fact]
    public void The_json_has_the_public_shape()
    {
        using var json = JsonDocument.Parse(PlanJson.Serialize(Planner.Sliced(NarrowLastBlock, Workers(2))));
        Assert.Equal(["epoch", "model", "cuts", "bundles"], json.RootElement.EnumerateObject().Select(field => field.Name));
        Assert.Equal("""{"layer":0,"tiles":[[0,0],[1,0],[2,0]],"workers":["worker-0"]}""", json.RootElement.GetProperty("bundles")[0].GetRawText());
        Assert.Equal("[0,64,176]", json.RootElement.GetProperty("cuts").GetRawText());
    }

    [Fact]
    public void A_worker_outside_the_cluster_is_refused_by_name()
    {
        PlanFile.Save(PlanPath, Planner.Sliced(NarrowLastBlock, ["worker-0", "elsewhere"]));
        var e = Assert.Throws<PlanException>(() => Planner.Create(PlanRequest.Parse(PlanPath), NarrowLastBlock, Workers(2), Inputs));
        Assert.Equal(2, e.Problems.Length);
        Assert.Contains("names worker elsewhere, which is not in this cluster (worker-0, worker-1)", e.Message);
    }

    public static TheoryData<string, string, string> Wrongs => new()
    {
        { "cuts start", "/cuts=[64,176]", "cuts have to go from 0 to FeedForwardDim 176" },
        { "cuts end", "/cuts=[0,64]", "cuts have to go from 0 to FeedForwardDim 176" },
        { "no cuts", "/cuts=[]", "cuts have to go from 0 to FeedForwardDim 176" },
        { "cuts repeat", "/cuts=[0,64,64,176]", "cuts[2] = 64 does not ascend from 64" },
        { "cuts off the blocks", "/cuts=[0,65,176]", "cuts[1] = 65 is neither a multiple of the block width 64 nor 176" },
        { "epoch", "/epoch=-1", "epoch -1 is negative" },
        { "layer", "/bundles/3/layer=2", "bundles[3] is of layer 2; the model has layers 0-1" },
        { "expert", "/bundles/0/tiles=[[0,0],[1,0],[3,0]]", "bundles[0] has layer 0 expert 3 slice 0; the model has 3 experts, the plan 2 slices" },
        { "slice", "/bundles/0/tiles=[[0,0],[1,0],[2,-1]]", "bundles[0] has layer 0 expert 2 slice -1; the model has 3 experts, the plan 2 slices" },
        { "missing tiles", "/bundles/1/tiles=[[1,1]]", "2 tiles are missing: layer 0 expert 0 slice 1; layer 0 expert 2 slice 1" },
        { "no tiles", "/bundles/1/tiles=[]", "bundles[1] has no tiles" },
        { "tile in two bundles", "/bundles/1/tiles=[[0,0],[0,1],[1,1],[2,1]]", "layer 0 expert 0 slice 0 is in bundles[0] and bundles[1]; a copy is made by naming more workers" },
        { "tile twice", "/bundles/1/tiles=[[0,1],[0,1],[1,1],[2,1]]", "bundles[1] has layer 0 expert 0 slice 1 twice" },
        { "tile order", "/bundles/1/tiles=[[1,1],[0,1],[2,1]]", "bundles[1] has layer 0 expert 0 slice 1 after expert 1 slice 1; tiles go in (expert, slice) order" },
        { "not a pair", "/bundles/1/tiles=[[0,1],[1,1,1],[2,1]]", "bundles[1].tiles[1] is not a pair [expert, slice]" },
        { "null pair", "/bundles/1/tiles=[[0,1],null,[2,1]]", "bundles[1].tiles[1] is not a pair [expert, slice]" },
        { "no workers", "/bundles/2/workers=[]", "bundles[2] has no workers" },
        { "worker twice", "/bundles/2/workers=[\"a\",\"b\",\"a\"]", "bundles[2] names worker a twice" },
        { "null worker", "/bundles/2/workers=[null]", "bundles[2] has a worker without an id" },
        { "null bundle", "/bundles/2=null", "bundles[2] is null" },
    };

    [Theory, MemberData(nameof(Wrongs))]
    public void A_plan_that_does_not_fit_is_refused_with_the_reason(string what, string change, string problem)
    {
        File.WriteAllText(PlanPath, Changed(change));
        var e = Assert.Throws<PlanException>(() => PlanFile.Load(PlanPath, NarrowLastBlock));
        Assert.True(e.Problems.Contains(problem), $"{what}: {string.Join("\n", e.Problems)}");
        Assert.StartsWith($"plan file {PlanPath} does not fit model narrow: ", e.Message);
        Assert.DoesNotContain('\n', e.Message);
    }

    public static TheoryData<string, string, string> Malformed => new()
    {
        { "empty", "", "it is not valid JSON: " },
        { "noise", "\u0001{{{", "it is not valid JSON: " },
        { "null", "null", "the whole is null, expected is an object with epoch, model, cuts, bundles" },
        { "a list", "[]", "the whole is a list, expected is an object with epoch, model, cuts, bundles" },
        { "truncated", """{"epoch":1,"model":"m","cuts":[0,176],"bund""", "it is not valid JSON: " },
        { "unknown field", """{"epoch":1,"model":"m","cuts":[0,176],"bundles":[],"extra":1}""", "extra is not known, expected are epoch, model, cuts, bundles" },
        { "unknown field in a bundle", """{"epoch":1,"model":"m","cuts":[0,176],"bundles":[{"layer":0,"tiles":[],"workers":[],"x":1}]}""", "bundles[0].x is not known, expected are layer, tiles, workers, cold" },
        { "missing field", """{"epoch":1,"model":"m","bundles":[]}""", "the whole lacks cuts" },
        { "field twice", """{"epoch":1,"epoch":2,"model":"m","cuts":[0,176],"bundles":[]}""", "it is not valid JSON: " },
        { "null cuts", """{"epoch":1,"model":"m","cuts":null,"bundles":[]}""", "cuts is null, expected is a list" },
        { "null model", """{"epoch":1,"model":null,"cuts":[0,176],"bundles":[]}""", "model is null, expected is a text" },
        { "fraction", """{"epoch":1,"model":"m","cuts":[0,17.5],"bundles":[]}""", "cuts[1] is the number 17.5, expected is a whole number" },
        { "overflow", """{"epoch":1,"model":"m","cuts":[0,99999999999],"bundles":[]}""", "cuts[1] is the number 99999999999, expected is a whole number of at most 2147483647" },
        { "deep", """{"epoch":1,"model":"m","cuts":[0,176],"bundles":[{"layer":0,"tiles":[[[0]]],"workers":[]}]}""", "it is not valid JSON: " },
        { "very deep", new string('[', 100_000), "it is not valid JSON: " },
        { "a number for a text", """{"epoch":1,"model":5,"cuts":[0,176],"bundles":[]}""", "model is the number 5, expected is a text" },
        { "an object for a list", """{"epoch":1,"model":"m","cuts":{},"bundles":[]}""", "cuts is an object, expected is a list" },
        { "a text in a pair", """{"epoch":1,"model":"m","cuts":[0,176],"bundles":[{"layer":0,"tiles":[[0,"x"]],"workers":[]}]}""", "bundles[0].tiles[0][1] is a text, expected is a whole number" },
        { "a bundle without workers", """{"epoch":1,"model":"m","cuts":[0,176],"bundles":[{"layer":0,"tiles":[]}]}""", "bundles[0] lacks workers" },
    };

    [Theory, MemberData(nameof(Malformed))]
    public void A_malformed_plan_is_refused_with_the_member_that_is_wrong(string what, string text, string problem)
    {
        File.WriteAllText(PlanPath, text);
        var e = Assert.Throws<PlanException>(() => PlanFile.Load(PlanPath, NarrowLastBlock));
        Assert.True(e.Message.StartsWith($"plan file {PlanPath} is malformed: {problem}", StringComparison.Ordinal), $"{what}: {e.Message}");
        Assert.False(e.Message.Contains("Grok1Cluster.") || e.Message.Contains("System."), $"{what}: {e.Message}");
    }

    [Fact]
    public void An_oversized_or_absent_file_is_refused_without_reading_it_whole()
    {
        using (var file = File.Create(PlanPath))
            file.SetLength(1L << 40);
        Assert.Contains("larger than", Assert.Throws<PlanException>(() => PlanFile.Load(PlanPath, TinyA)).Message);
        Assert.Contains("cannot be read", Assert.Throws<PlanException>(() => PlanFile.Load(PlanPath + "x", TinyA)).Message);
        Assert.Contains("larger than", Assert.Throws<PlanException>(() => PlanFile.Load("/dev/zero", TinyA)).Message);
    }

    [Fact]
    public void All_problems_are_told_at_once()
    {
        File.WriteAllText(PlanPath, """{"epoch":-1,"model":"m","cuts":[0,65],"bundles":[{"layer":9,"tiles":[],"workers":[]}]}""");
        var e = Assert.Throws<PlanException>(() => PlanFile.Load(PlanPath, NarrowLastBlock));
        Assert.Equal(6, e.Problems.Length);
    }

    [Fact]
    public void A_file_that_is_wrong_without_end_is_told_in_one_line()
    {
        var bundle = """{"layer":0,"tiles":[[9,9]],"workers":[]}""";
        var text = new StringBuilder("""{"epoch":1,"model":"m","cuts":[0,176],"bundles":[""");
        text.AppendJoin(',', Enumerable.Repeat(bundle, 100_000)).Append("]}");
        File.WriteAllText(PlanPath, text.ToString());
        var e = Assert.Throws<PlanException>(() => PlanFile.Load(PlanPath, NarrowLastBlock));
        Assert.Equal(1000, e.Problems.Length);
        Assert.InRange(e.Message.Length, 100, 4000);
        Assert.EndsWith("; and 990 more", e.Message);
    }

    /// <summary>A good plan of two workers with one value replaced, given as <c>/path/to=json</c>.</summary>
    private static string Changed(string change)
    {
        var root = JsonNode.Parse(PlanJson.Serialize(Planner.Sliced(NarrowLastBlock, Workers(2))))!;
        var (path, value) = (change[1..change.IndexOf('=')].Split('/'), change[(change.IndexOf('=') + 1)..]);
        var parent = path[..^1].Aggregate(root, (node, key) => int.TryParse(key, out var index) ? node[index]! : node[key]!);
        if (int.TryParse(path[^1], out var last))
            parent[last] = JsonNode.Parse(value);
        else
            parent[path[^1]] = JsonNode.Parse(value);
        return root.ToJsonString();
    }
}
