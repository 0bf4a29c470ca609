using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Tests;

public sealed class LayeredSettingsTests : IDisposable
{
    private readonly string _config = Path.GetTempFileName();
    private readonly RootCommand _root = CommandLine.CreateRoot();
    private readonly ClusterOptions _cluster = new(defaultWorkers: 4);
    private readonly SamplingOptions _sampling = new();

    public LayeredSettingsTests()
    {
        var verb = new Verb("try", "Has every option.");
        _cluster.AddTo(verb);
        _sampling.AddTo(verb);
        _root.Add(verb);
    }

    public void Dispose() => File.Delete(_config);

    [Fact]
    public void Without_flags_every_setting_has_its_default()
    {
        var (cluster, sampling) = Read("{}");
        Assert.Empty(cluster.WorkerAddresses);
        Assert.Equal(new ClusterSettings("demo", 4, [], PlanRequest.Auto, Precision.Fast, null, null, null, 1, new WeightMemory(), false, null, TimeSpan.FromSeconds(60)), cluster with { WorkerAddresses = [] });
        Assert.Equal(new SamplingSettings(128, 0.7, 0, 1, 0, 1, null, false), sampling);
    }

    [Fact]
    public void Every_flag_is_read()
    {
        var (cluster, sampling) = Read("{}",
            "--model", "store", "--workers", "2", "--plan", "whole", "--precision", "exact", "--threads", "3", "--memory-limit", "16GiB", "--kv-memory", "1GB", "--kv-format", "int8", "--concurrency-target", "8", "--weight-pages", "mapped", "--lock-memory", "--numa-spread", "--pipeline-depth", "2", "--lost-worker-timeout", "2.5",
            "--max-tokens", "5", "--temperature", "0", "--top-k", "40", "--top-p", "0.9", "--min-p", "0.05", "--repetition-penalty", "1.1", "--seed", "18446744073709551615", "--ignore-eos");
        Assert.Equal(new ClusterSettings("store", 2, [], new PlanRequest(PlanKind.Whole), Precision.Exact, 3, 16L << 30, 1_000_000_000, 8, new WeightMemory(WeightPages.Mapped, Locked: true), true, 2, TimeSpan.FromSeconds(2.5), Copies: 1, KvFormat.Int8), cluster with { WorkerAddresses = [] });
        Assert.Equal(new SamplingSettings(5, 0, 40, 0.9, 0.05, 1.1, ulong.MaxValue, true), sampling);
    }

    [Fact]
    public void A_config_file_is_below_flags_and_above_defaults()
    {
        var (cluster, sampling) = Read("""{"cluster": {"workers": 7, "plan": "whole", "memory_limit": "2MiB"}, "sampling": {"ignore_eos": true, "seed": 9}}""", "--workers", "3");
        Assert.Equal((3, PlanKind.Whole, 2L << 20), (cluster.Workers, cluster.Plan.Kind, cluster.MemoryLimitBytes));
        Assert.Equal((true, 9UL), (sampling.IgnoreEos, sampling.Seed));
    }

    [Fact]
    public void Wrong_values_and_unknown_keys_of_a_config_file_are_told_all_at_once()
    {
        var e = Assert.Throws<UsageException>(() => Read("""{"cluster": {"workers": "many", "wrkers": 3, "precision": "0"}, "extra": [1]}"""));
        Assert.Equal(
            "cluster:wrkers in the config file is not a setting; extra:0 in the config file is not a setting; "
            + "cluster:workers in the config file: 'many' is not a whole number from 0 to 1024; "
            + "cluster:precision in the config file: '0' is not one of fast, exact (see: grok1 --help)", e.Message);
    }

    [Fact]
    public void A_list_in_a_config_file_is_refused_with_how_to_write_it()
    {
        var e = Assert.Throws<UsageException>(() => Read("""{"cluster": {"worker_addresses": ["a:1", "b:2"]}}"""));
        Assert.Equal("cluster:worker_addresses in the config file is a list; give one text with commas (see: grok1 --help)", e.Message);
        Assert.Equal(["a:1", "b:2"], Read("""{"cluster": {"worker_addresses": "a:1,b:2", "workers": 3, "numa_spread": true, "replicas": 2}}""").Cluster.WorkerAddresses);
    }

    [Theory]
    [InlineData("4MB", 4_000_000)]
    [InlineData("1KiB", 1024)]
    [InlineData("70000", 70_000)]
    [InlineData(null, 16 << 20)]
    public void The_largest_body_is_a_size_with_or_without_a_unit(string? size, int bytes)
    {
        var (verb, flags) = (new Verb("api", "Has the flags of the API."), new ApiFlags());
        flags.AddTo(verb);
        _root.Add(verb);
        var parsed = _root.Parse(size is null ? ["api"] : ["api", "--max-body", size]);
        Assert.Equal(bytes, flags.Read(new VerbContext(parsed, LayeredSettings.Load(parsed), new CommandOutput(TextWriter.Null, TextWriter.Null, json: false))).Limits.BodyBytes);
    }

    [Fact]
    public void A_file_may_set_what_only_another_verb_takes()
    {
        File.WriteAllText(_config, """{"worker": {"id": "worker-7"}}""");
        var parsed = CommandLine.CreateRoot("plan").Parse(["plan", "--config", _config]);
        Assert.NotNull(LayeredSettings.Load(parsed));
        File.WriteAllText(_config, """{"worker": {"idd": "worker-7"}}""");
        Assert.Contains("worker:idd in the config file is not a setting", Assert.Throws<UsageException>(() => LayeredSettings.Load(parsed)).Message);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("[1]")]
    [InlineData("""{"cluster": {"workers": 1, "workers": 2}}""")]
    public void A_config_file_that_is_no_json_object_is_refused(string text) =>
        Assert.StartsWith($"--config: {_config} cannot be read: ", Assert.Throws<UsageException>(() => Read(text)).Message);

    [Theory]
    [InlineData("--workers", "-1")]
    [InlineData("--workers", "1e3")]
    [InlineData("--precision", "half")]
    [InlineData("--plan", "no-such-file")]
    [InlineData("--memory-limit", "lots")]
    [InlineData("--threads", "0")]
    [InlineData("--temperature", "NaN")]
    [InlineData("--temperature", "-0.1")]
    [InlineData("--top-p", "1.01")]
    [InlineData("--seed", "-1")]
    [InlineData("--model", "")]
    public void A_wrong_flag_is_named_with_what_is_allowed(string flag, string value)
    {
        var parsed = _root.Parse(["try", flag, value]);
        Assert.StartsWith($"{flag}: '{value}' is not ", Assert.Single(parsed.Errors).Message);
    }

    [Fact]
    public void A_key_is_the_same_flag_on_every_verb_and_has_an_environment_variable_of_its_own()
    {
        var flags = _root.Subcommands.SelectMany(verb => verb.Options.OfType<ISettingOption>()).ToLookup(setting => setting.Key, setting => setting.Name);
        Assert.True(flags.Count >= 15);
        Assert.All(flags, key => Assert.Single(key.Distinct()));
        Assert.Equal(flags.Count, flags.Select(key => SettingNames.Environment(key.Key)).Distinct().Count());
    }

    private (ClusterSettings Cluster, SamplingSettings Sampling) Read(string config, params string[] flags)
    {
        File.WriteAllText(_config, config);
        var parsed = _root.Parse(["try", "--config", _config, .. flags]);
        Assert.Empty(parsed.Errors);
        var context = new VerbContext(parsed, LayeredSettings.Load(parsed), new CommandOutput(TextWriter.Null, TextWriter.Null, json: false));
        return (_cluster.Read(context), _sampling.Read(context));
    }
}
