using System.CommandLine;
using System.Diagnostics;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests;

/// <summary>The built executable, as a user meets it.</summary>
public sealed class CommandLineTests
{
    [Fact]
    public async Task The_version_goes_to_stdout()
    {
        var result = await Grok1Process.RunAsync("--version");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Matches(@"^\d+\.\d+\.\d+", result.Output);
    }

    [Fact]
    public async Task Every_verb_has_help_with_examples_and_its_settings()
    {
        foreach (var verb in CommandLine.CreateRoot().Subcommands)
        {
            var result = await Grok1Process.RunAsync(verb.Name, "--help");
            Assert.Equal((0, ""), (result.ExitCode, result.Error));
            Assert.Matches($"Examples:\n  grok1 {verb.Name}[ \n]", result.Output);
        }
    }

    [Fact]
    public void A_verb_that_is_wanted_is_made_alone_and_of_a_name_that_is_none_all_are()
    {
        var all = CommandLine.CreateRoot().Subcommands.Select(verb => verb.Name).ToArray();
        Assert.All(all, name => Assert.Equal([name], CommandLine.CreateRoot(name).Subcommands.Select(verb => verb.Name)));
        Assert.Equal(all, CommandLine.CreateRoot("nonsense").Subcommands.Select(verb => verb.Name));
    }

    [Fact]
    public async Task Help_of_the_whole_shows_the_table_of_settings()
    {
        var result = await Grok1Process.RunAsync("--help");
        Assert.Equal(0, result.ExitCode);
        Assert.Matches(@"--workers +GROK1__CLUSTER__WORKERS +cluster:workers\n", result.Output);
    }

    [Fact]
    public void Every_flag_and_argument_is_described_and_called_the_same_in_usage_and_list()
    {
        foreach (var command in All(CommandLine.CreateRoot()))
        {
            Assert.All(command.Options.Where(option => !option.Hidden), option => Assert.False(string.IsNullOrEmpty(option.Description), $"{command.Name} {option.Name}"));
            Assert.All(command.Arguments, argument =>
            {
                // Of an enumeration the library would list the names that it has in the code.
                Assert.Equal(argument.ValueType.IsEnum ? argument.Name : null, argument.HelpName);
                Assert.Equal(argument.Name, argument.Name.ToUpperInvariant().Replace(".JSON", ".json"));
                Assert.NotEqual(argument.Name, argument.Description);
            });
        }
    }

    [Fact]
    public async Task Roles_are_told_once() =>
        Assert.Contains("  <ROLE>  worker, coordinator, operator\n", (await Grok1Process.RunAsync("certs", "revoke", "--help")).Output);

    [Fact]
    public void Remarks_behind_examples_stand_below_each_other()
    {
        foreach (var verb in All(CommandLine.CreateRoot()).OfType<Verb>())
            Assert.True(verb.Examples.Select(example => example.IndexOf(" # ", StringComparison.Ordinal)).Where(at => at >= 0).Distinct().Count() <= 1, verb.Name);
    }

    private static IEnumerable<Command> All(Command command) => [command, .. command.Subcommands.SelectMany(All)];

    [Fact]
    public async Task Help_shows_defaults_as_the_flags_take_them()
    {
        var help = (await Grok1Process.RunAsync("serve", "--help")).Output;
        Assert.Matches("--precision <fast\\|exact> .*\\(default: fast\\)", help);
        Assert.DoesNotMatch(@"\[default: [A-Z][a-z]", help);
    }

    public static TheoryData<string[], string> Misuses => new()
    {
        { [], "a verb is missing" },
        { ["nonsense"], "no such verb: nonsense; verbs are " },
        { ["@nonsense"], "no such verb: @nonsense" },
        { ["run", "--nope"], "--nope is not a flag of run; put -- before an argument" },
        { ["inspect", "-x"], "-x is not a flag of inspect" },
        { ["run"], "give one of PROMPT, --tokens and --prompt-file" },
        { ["run", "text", "--tokens", "1"], "give one of PROMPT, --tokens and --prompt-file" },
        { ["plan"], "give one of --like and --model (see: grok1 plan --help)" },
        { ["plan", "--like", "grok-1", "--model", "demo"], "give one of --like and --model" },
        { ["import", "only-a-source"], "Required argument 'DST' missing for command: 'import' (see: grok1 import --help)" },
        { ["import", "", "x"], "SRC is empty" },
        { ["import", "x", "y", "--weights", "int3"], "--weights: 'int3' is not one of int8, int4, bf16, f32" },
        { ["import", "x", "y", "--tiles", "/no/plan.json:worker-0"], "--tiles: '/no/plan.json:worker-0' is not none, or an existing plan file" },
        { ["synth", "x", "--layers", "-1"], "--layers: '-1' is not a whole number of 1 or more" },
        { ["synth", "x", "--layers", "2000"], "LayerCount (num_hidden_layers) is 2000, allowed are 1 to 1024" },
        { ["synth", "x", "--embedding-dim", "100"], "--embedding-dim 100 is no multiple of --query-heads 48" },
        { ["tokenize"], "give one of --text, --file and --jsonl" },
        { ["tokenize", "--text", "a", "--file", "b"], "give one of --text, --file and --jsonl" },
        { ["tokenize", "--file", "/no/such/text"], "--file: /no/such/text cannot be read" },
        { ["tokenize", "--jsonl", "/no/such/text"], "--jsonl: /no/such/text cannot be read" },
        { ["inspect"], "Required argument 'PATH' missing" },
        { ["plan", "--like", "grok-2"], "--like: 'grok-2' is not one of grok-1" },
        { ["plan", "--like", "grok-1", "--wrkers", "3"], "Unrecognized command or argument '--wrkers'" },
        { ["plan", "--like", "grok-1", "--workers", "0"], "--workers: '0' is not a whole number from 1 to 1024" },
        { ["plan", "--like", "grok-1", "--workers", "1", "--workers", "2"], "expects a single argument" },
        { ["plan", "--like", "grok-1", "--config", "/no/such/file"], "--config: /no/such/file cannot be read" },
        { ["plan", "--like", "grok-1", "--out", "/no/such/folder/plan.json"], "--out: /no/such/folder/plan.json cannot be written" },
        { ["run", "x", "--top-p", "0"], "--top-p: '0' is not a number above 0 and at most 1" },
        { ["run", "--tokens", "1,99999", "--workers", "0"], "token 1 is 99999, outside the vocabulary of 2048" },
        { ["worker", "--id", "a\nb"], "--id: 'a b' is not up to 128 letters, digits and . _ : -, beginning with a letter or digit" },
        { ["cluster"], "a verb is missing; verbs are status, join, drain, move, rebalance, apply (see: grok1 cluster --help)" },
        { ["cluster", "nonsense"], "no such verb: cluster nonsense; verbs are status, " },
        { ["cluster", "move", "--layer", "x", "--from", "a", "--to", "b"], "--layer: 'x' is not a whole number of 0 or more (see: grok1 cluster move --help)" },
        { ["simulate", "--like", "grok-1", "--concurrency", "0"], "--concurrency: '0' is not a list of whole numbers from 1 to 4096, separated by commas" },
        { ["top", "--url", "nonsense"], "--url: 'nonsense' is not an address such as http://127.0.0.1:8080" },
        { ["bench", "--prompt", "8", "compare", "a.json", "b.json"], "--prompt: is a flag of bench, bench compare has none of that name; leave it out (see: grok1 bench compare --help)" },
        { ["bench", "--json", "compare", "a.json", "b.json"], "--json: put it after bench compare" },
        // Before a worker is started, which would be a second line.
        { ["run", ""], "the prompt is empty" },
        { ["run", "--tokens", "1,99999"], "token 1 is 99999, outside the vocabulary of 2048" },
        { ["logits", "--tokens", "99999", "--workers", "2"], "token 0 is 99999, outside the vocabulary of 2048" },
        { ["eval", "--file", "/dev/null", "--workers", "2"], "the text has fewer than two tokens" },
        { ["eval", "--file", "/no/such/text"], "--file: /no/such/text cannot be read" },
        { ["up", "--max-body", "100"], "--max-body: '100' is not a size such as 16MiB, 16MB or 500000, from 1.0 KiB to 1.0 GiB" },
        { ["up", "--max-body", "2GB"], "--max-body: '2GB' is not a size" },
        // What would do nothing.
        { ["serve", "--workers", "2", "--worker-address", "127.0.0.1:1"], "--workers: no worker is started beside those of --worker-address" },
        { ["run", "x", "--workers", "0", "--plan", "whole"], "--plan: there is no worker, the experts are computed in this process; give --workers or --worker-address" },
        { ["logits", "--tokens", "1", "--replicas", "2"], "--replicas: there is no worker" },
        { ["run", "x", "--worker-address", "127.0.0.1:1", "--numa-spread"], "--numa-spread: it is for workers that are started here" },
        { ["up", "--tls", "/etc/grok1"], "--tls: it is for workers on other machines, and none is named; the HTTP API has no TLS of its own" },
        { ["up", "--insecure"], "--insecure: it goes with --weights-listen, which is missing" },
        { ["serve", "--weights-listen", "127.0.0.1:0"], "--weights-listen: there is no worker, the experts are computed in this process; give --etcd, --worker-address or --workers" },
        { ["serve", "--transfer-limit", "1MB"], "--transfer-limit: there is no worker" },
        { ["serve", "--weights-advertise", "10.0.0.1:9049"], "--weights-advertise: it goes with --weights-listen, which is missing" },
        { ["serve", "--trace-ratio", "1"], "--trace-ratio: it goes with --otlp-endpoint, which is missing" },
        { ["serve", "--least-workers", "2"], "--least-workers: it goes with --etcd, which is missing" },
        { ["worker", "--etcd-user", "grok1"], "--etcd-user: it goes with --etcd, which is missing" },
        { ["worker", "--advertise", "10.0.0.1:9050"], "--advertise: it goes with --etcd, which is missing" },
        { ["worker", "--plan", "plan.json", "--hold", "none"], "--plan: with --hold none this worker holds nothing until a coordinator asks" },
        { ["worker", "--fetch-rate", "1MB"], "--fetch-rate: it is for what --from and --plan have this worker fetch" },
        { ["worker", "--http-host", "0.0.0.0"], "--http-host: it goes with --http-port, which is missing" },
        { ["worker", "--fault-seed", "2"], "--fault-seed: it goes with --fault, which is missing" },
        { ["worker", "--device-memory", "1GB"], "--device-memory: the experts are computed by the CPU; give --device cuda:0 or auto" },
        { ["certs", "rotate", "--dir", "/no/ca", "--authority", "begin", "--bundle-only"], "--bundle-only: it is for a node's certificate, and --authority changes the CA" },
        { ["certs", "rotate", "node", "--dir", "/no/ca", "--bundle-only", "--days", "3"], "--days: with --bundle-only no certificate is made" },
    };

    [Theory, MemberData(nameof(Misuses))]
    public async Task Misuse_ends_with_2_and_one_line(string[] arguments, string message)
    {
        var result = await Grok1Process.RunAsync(arguments);
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.StartsWith("grok1: ", result.Error);
        Assert.Contains(message, result.Error);
        Assert.Single(result.Error.TrimEnd().Split('\n'));
    }

    [Fact]
    public async Task The_environment_is_below_flags_and_above_the_config_file()
    {
        var config = Path.GetTempFileName();
        try
        {
            File.WriteAllText(config, """{"cluster": {"workers": 5, "plan": "whole"}}""");
            var result = await RunWithVariable("GROK1__CLUSTER__WORKERS", "2", "plan", "--like", "grok-1", "--config", config);
            Assert.Contains("\"cuts\": [0,32768]", result.Output);
            Assert.Contains("worker-1", result.Output);
            Assert.DoesNotContain("worker-2", result.Output);

            var flag = await RunWithVariable("GROK1__CLUSTER__WORKERS", "2", "plan", "--like", "grok-1", "--workers", "1");
            Assert.DoesNotContain("worker-1", flag.Output);
        }
        finally
        {
            File.Delete(config);
        }
    }

    [Theory]
    [InlineData("GROK1__CLUSTER__WORKERS", "many", "GROK1__CLUSTER__WORKERS: 'many' is not a whole number from 1 to 1024")]
    [InlineData("GROK1__CLUSTER__WRKERS", "2", "GROK1__CLUSTER__WRKERS is not a setting")]
    public async Task A_wrong_variable_is_refused_by_name(string variable, string value, string message)
    {
        var result = await RunWithVariable(variable, value, "plan", "--like", "grok-1");
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains(message, result.Error);
    }

    [Fact]
    public async Task A_stack_trace_is_shown_only_on_demand()
    {
        var quiet = await RunWithVariable("GROK1_DEBUG", "0", "nonsense");
        Assert.DoesNotContain("   at ", quiet.Error);
        var loud = await RunWithVariable("GROK1_DEBUG", "1", "nonsense");
        Assert.Contains("   at ", loud.Error);
    }

    private static Task<Grok1Result> RunWithVariable(string variable, string value, params string[] arguments) =>
        Grok1Process.RunAsync(new ProcessStartInfo(Grok1Process.ExecutablePath, arguments) { Environment = { [variable] = value } });
}
