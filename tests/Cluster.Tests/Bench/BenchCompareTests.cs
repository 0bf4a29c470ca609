using System.Text.Json;
using Grok1Cluster.Coordinator.Bench;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Bench;

/// <summary>Two reports side by side.</summary>
public sealed class BenchCompareTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-compare-").FullName;

    [Fact]
    public void Ratios_are_B_over_A_and_judged_against_the_spread_of_the_runs()
    {
        var comparison = BenchmarkComparison.Of(
            Report(Result(concurrency: 1, prefill: 100, decode: 40, decodeRuns: [39, 40, 41]), Result(8, 300, 100, [])),
            Report(Result(concurrency: 1, prefill: 150, decode: 41, decodeRuns: [38, 41, 42]), Result(32, 300, 160, [])));
        var (_, _, concurrency, _, prefill, decode) = Assert.Single(comparison.Results);
        Assert.Equal(1, concurrency);
        Assert.Equal(1.5, prefill.Ratio);
        Assert.Null(prefill.Noise);
        Assert.Null(prefill.BeyondNoise);
        Assert.Equal(41 / 40.0, decode.Ratio);
        Assert.Equal(4 / 41.0, decode.Noise!.Value, 12);
        Assert.False(decode.BeyondNoise);
        Assert.Contains("8 sequences", Assert.Single(comparison.OnlyInA));
        Assert.Contains("32 sequences", Assert.Single(comparison.OnlyInB));
        Assert.Empty(comparison.Differences);
    }

    [Fact]
    public void What_else_differs_between_the_runs_is_said()
    {
        var a = Report(Result(1, 100, 40, []));
        var differences = BenchmarkComparison.Of(a, a with { Precision = "exact", ReadBandwidthGbS = 2 * a.ReadBandwidthGbS }).Differences;
        Assert.Equal(["precision: fast and exact", "read bandwidth: 70.0 and 140.0 GB/s"], differences);
    }

    [Fact]
    public async Task The_verb_reads_reports_that_have_only_the_fields_of_the_contract()
    {
        var a = Write("a.json", """{"read_bandwidth_gb_s": 70, "results": [{"workers": 2, "plan": "sliced", "concurrency": 1, "prompt_tokens": 512, "generated_tokens": 64, "prefill_tokens_per_second": 200, "decode_tokens_per_second": 20, "weight_bytes_per_token": 1, "roofline_fraction": 0.5, "dispatch_p50_us": null, "dispatch_p99_us": null, "memory_peak_bytes": 1}]}""");
        var b = Write("b.json", File.ReadAllText(a).Replace("\"decode_tokens_per_second\": 20", "\"decode_tokens_per_second\": 15"));
        var result = await Grok1Process.RunAsync("bench", "compare", a, b, "--json");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        var row = Assert.Single(JsonDocument.Parse(result.Output).RootElement.GetProperty("results").EnumerateArray());
        Assert.Equal(0.75, row.GetProperty("decode").GetProperty("ratio").GetDouble());
        Assert.Equal(1, row.GetProperty("prefill").GetProperty("ratio").GetDouble());

        var table = await Grok1Process.RunAsync("bench", "compare", a, b);
        Assert.Matches(@"(?m)prefill │ +200\.0 │ +200\.0 │ +1\.00 │", table.Output);
        Assert.Matches(@"(?m)decode │ +20\.0 │ +15\.0 │ +0\.75 │", table.Output);
        Assert.All(table.Output.Split('\n'), line => Assert.InRange(line.Length, 0, 80));
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"results": [null]}""")]
    public async Task A_file_that_is_no_report_is_a_usage_error_that_names_it(string content)
    {
        var good = Write("good.json", """{"read_bandwidth_gb_s": 70, "results": []}""");
        var bad = Write("bad.json", content);
        foreach (var arguments in (string[][])[[good, bad], [bad, good], [good, Path.Combine(_directory, "absent.json")]])
        {
            var result = await Grok1Process.RunAsync(["bench", "compare", .. arguments]);
            Assert.Equal(2, result.ExitCode);
            Assert.Contains(arguments[0] == good ? arguments[1] : bad, result.Error);
        }
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static BenchmarkReport Report(params BenchmarkResult[] results) => new(70, results) { Model = "m", Weights = "int8", Precision = "fast" };

    private static BenchmarkResult Result(int concurrency, double prefill, double decode, double[] decodeRuns) =>
        new(0, null, concurrency, 512, 64, prefill, decode, 1, 0.5, null, null, 1) { DecodeRuns = decodeRuns };

    private string Write(string name, string content)
    {
        var path = Path.Combine(_directory, name);
        File.WriteAllText(path, content);
        return path;
    }
}
