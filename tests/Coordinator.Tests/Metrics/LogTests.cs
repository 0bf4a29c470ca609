using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.RegularExpressions;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Logging;
using Grok1Cluster.TestKit;
using Microsoft.Extensions.Logging;

namespace Grok1Cluster.Coordinator.Tests.Metrics;

public sealed partial class LogTests
{
    [Fact]
    public async Task Json_logs_are_one_object_a_line_tell_every_request_and_never_a_prompt_or_a_generated_text()
    {
        const string Prompt = "My fellow Americans, ";
        using var cluster = await Cluster.StartAsync("serve", "--model", "demo", "--workers", "1", "--log-format", "json");
        var answer = await cluster.CompleteAsync(new { prompt = Prompt, max_tokens = 20, temperature = 0 });
        var text = answer.GetProperty("choices")[0].GetProperty("text").GetString()!;
        cluster.Process.Signal(PosixSignal.SIGTERM);
        var result = await cluster.Process.WaitForExitAsync();
        Assert.Equal(0, result.ExitCode);

        var entries = result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal(["loading", "serving", "sequence_ended", "http_request", "draining", "stopping"], entries.Select(entry => entry.GetProperty("event").GetString()!).Where(name => name != "note").Order(InOrder));
        var ended = entries.Single(entry => entry.GetProperty("event").GetString() == "sequence_ended");
        Assert.Equal(20, ended.GetProperty("generated_tokens").GetInt32());
        Assert.Equal("length", ended.GetProperty("outcome").GetString());
        Assert.True(ended.GetProperty("first_token_seconds").GetDouble() > 0);
        var request = entries.Single(entry => entry.GetProperty("event").GetString() == "http_request");
        Assert.Equal("/v1/completions", request.GetProperty("route").GetString());
        Assert.Equal(200, request.GetProperty("status").GetInt32());
        Assert.DoesNotContain(Prompt.Trim(), result.Error);
        Assert.DoesNotContain(text[..8], result.Error);
    }

    [Fact]
    public void Whole_numbers_of_any_width_are_numbers_in_json_logs()
    {
        using var output = new StringWriter();
        using var factory = new LoggerFactory([new LineLoggerProvider(LogFormat.Json, output, new EventLog(), TimeProvider.System)]);
        new CoordinatorLog(factory).PlanChanged(new Plan(5_000_000_000, "m", [0, 1], [new Bundle(0, [new TileId(0, 0, 0)], ["worker-0"])]));
        var entry = JsonElement.Parse(output.ToString());
        Assert.Equal((5_000_000_000, 1), (entry.GetProperty("epoch").GetInt64(), entry.GetProperty("workers").GetInt32()));
    }

    [Fact]
    public void Every_event_of_the_log_is_documented_with_its_id()
    {
        var logged = typeof(CoordinatorLog).GetMethods(BindingFlags.NonPublic | BindingFlags.Static)
            .Select(method => method.GetCustomAttribute<LoggerMessageAttribute>()).OfType<LoggerMessageAttribute>().Select(message => (message.EventName!, message.EventId));
        var documented = File.ReadLines(Path.Combine(Repository.Root, "docs", "observability.md"))
            .SkipWhile(line => !line.StartsWith("| event | id |", StringComparison.Ordinal)).Skip(2).TakeWhile(line => line.StartsWith('|')).Select(line => line.Split('|'))
            .SelectMany(cells => Name().Matches(cells[1]).Select(match => match.Groups[1].Value).Zip(cells[2].Split(',').Select(int.Parse)));
        Assert.Equal(logged.OrderBy(entry => entry.EventId), documented.OrderBy(entry => entry.Second));
    }

    [GeneratedRegex("`([a-z_]+)`")]
    private static partial Regex Name();

    /// <summary>The answer may be sent before or after the engine has told that its sequence ended.</summary>
    private static readonly Comparer<string> InOrder = MakeOrder();

    private static Comparer<string> MakeOrder()
    {
        string[] order = ["loading", "serving", "sequence_ended", "http_request", "draining", "stopping"];
        return Comparer<string>.Create((a, b) => Array.IndexOf(order, a).CompareTo(Array.IndexOf(order, b)));
    }
}
