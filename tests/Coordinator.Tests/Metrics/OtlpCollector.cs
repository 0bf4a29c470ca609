using System.Collections.Concurrent;
using System.Net;
using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Grok1Cluster.Coordinator.Tests.Metrics;

/// <summary>A span as it came over the wire; times in nanoseconds since 1970.</summary>
internal sealed record OtlpSpan(string TraceId, string SpanId, string ParentId, string Name, ulong Start, ulong End);

/// <summary>Takes OTLP/HTTP as a collector does, and reads the published messages by their field numbers.</summary>
internal sealed class OtlpCollector : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly ConcurrentQueue<OtlpSpan> _spans = new();

    private OtlpCollector(WebApplication application) => _application = application;

    public string Url => _application.Urls.First();

    public IReadOnlyList<OtlpSpan> Spans => [.. _spans];

    public static async Task<OtlpCollector> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var collector = new OtlpCollector(builder.Build());
        collector._application.MapPost("/v1/traces", collector.TakeAsync);
        await collector._application.StartAsync();
        return collector;
    }

    public ValueTask DisposeAsync() => _application.DisposeAsync();

    private async Task TakeAsync(HttpContext context)
    {
        Assert.Equal("application/x-protobuf", context.Request.ContentType);
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        // ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans.
        foreach (var resource in Messages(body.ToArray(), 1))
            foreach (var scope in Messages(resource, 2))
                foreach (var span in Messages(scope, 2))
                    _spans.Enqueue(Read(span));
    }

    private static IEnumerable<byte[]> Messages(byte[] message, int field)
    {
        var input = new CodedInputStream(message);
        while (input.ReadTag() is > 0 and var tag)
            if (WireFormat.GetTagFieldNumber(tag) == field)
                yield return input.ReadBytes().ToByteArray();
            else
                input.SkipLastField();
    }

    private static OtlpSpan Read(byte[] message)
    {
        var (trace, span, parent, name, start, end) = ("", "", "", "", 0UL, 0UL);
        var input = new CodedInputStream(message);
        while (input.ReadTag() is > 0 and var tag)
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case 1: trace = Convert.ToHexStringLower(input.ReadBytes().Span); break;
                case 2: span = Convert.ToHexStringLower(input.ReadBytes().Span); break;
                case 4: parent = Convert.ToHexStringLower(input.ReadBytes().Span); break;
                case 5: name = input.ReadString(); break;
                case 7: start = input.ReadFixed64(); break;
                case 8: end = input.ReadFixed64(); break;
                default: input.SkipLastField(); break;
            }
        return new OtlpSpan(trace, span, parent, name, start, end);
    }
}
