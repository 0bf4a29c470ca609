using System.Runtime.InteropServices;
using System.Text.Json;

namespace Grok1Cluster.Coordinator.Tests.Metrics;

public sealed class LogTests
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

    /// <summary>The answer may be sent before or after the engine has told that its sequence ended.</summary>
    private static readonly Comparer<string> InOrder = MakeOrder();

    private static Comparer<string> MakeOrder()
    {
        string[] order = ["loading", "serving", "sequence_ended", "http_request", "draining", "stopping"];
        return Comparer<string>.Create((a, b) => Array.IndexOf(order, a).CompareTo(Array.IndexOf(order, b)));
    }
}
