using System.Net;
using System.Net.Http.Json;
using System.Runtime.InteropServices;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Metrics;

public sealed class TraceTests
{
    private const string TraceId = "4bf92f3577b34da6a3ce929d0e0e4736";

    [Fact]
    public async Task A_sampled_request_reaches_the_collector_as_request_step_layer_worker_call_in_the_clients_trace()
    {
        await using var collector = await OtlpCollector.StartAsync();
        using var cluster = await Cluster.StartAsync("serve", "--model", "demo", "--workers", "2", "--plan", "sliced", "--otlp-endpoint", collector.Url, "--trace-ratio", "0");
        // Of two requests the client asked for a trace of the second.
        await cluster.CompleteAsync(new { prompt = new[] { 5, 6, 7 }, max_tokens = 3, ignore_eos = true });
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = JsonContent.Create(new { prompt = new[] { 5, 6, 7 }, max_tokens = 4, ignore_eos = true }) };
        request.Headers.Add("traceparent", $"00-{TraceId}-00f067aa0ba902b7-01");
        using (var response = await cluster.Client.SendAsync(request))
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        cluster.Process.Signal(PosixSignal.SIGTERM);
        Assert.Equal(0, (await cluster.Process.WaitForExitAsync()).ExitCode);

        var spans = collector.Spans;
        Assert.All(spans, span => Assert.Equal(TraceId, span.TraceId));
        var root = Assert.Single(spans, span => span.Name == "POST /v1/completions");
        Assert.Equal("00f067aa0ba902b7", root.ParentId);
        Assert.Equal(root.SpanId, Assert.Single(spans, span => span.Name == "sequence").ParentId);
        var steps = Children(root, "step");
        Assert.Equal(4, steps.Count);
        foreach (var step in steps)
        {
            var layers = Children(step, "layer");
            Assert.Equal(4, layers.Count);
            Assert.All(layers, layer => Assert.Equal(2, Children(layer, "worker call").Count));
        }
        Assert.Equal(1 + 1 + 4 * (1 + 4 * (1 + 2)), spans.Count);

        List<OtlpSpan> Children(OtlpSpan parent, string name)
        {
            var children = spans.Where(span => span.Name == name && span.ParentId == parent.SpanId).ToList();
            Assert.All(children, child => Assert.True(child.End >= child.Start && child.Start >= parent.Start - 1_000_000 && child.End <= parent.End + 1_000_000, $"{name} is outside its parent"));
            return children;
        }
    }

    [Fact]
    public async Task A_collector_that_is_away_holds_up_no_request()
    {
        using var cluster = await Cluster.StartAsync("serve", "--model", "demo", "--otlp-endpoint", "http://127.0.0.1:9", "--trace-ratio", "1");
        var answer = await cluster.CompleteAsync(new { prompt = new[] { 5 }, max_tokens = 5, ignore_eos = true });
        Assert.Equal(5, answer.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        cluster.Process.Signal(PosixSignal.SIGTERM);
        Assert.Equal(0, (await cluster.Process.WaitForExitAsync()).ExitCode);
    }
}
