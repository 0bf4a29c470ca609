using System.ComponentModel.DataAnnotations;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Grok1Cluster.Coordinator.Tracing;

/// <summary>Where traces go.</summary>
public sealed record OtlpOptions
{
    /// <summary>An OpenTelemetry collector's OTLP/HTTP address, such as <c>http://localhost:4318</c>.</summary>
    public required Uri Endpoint { get; init; }

    /// <summary>Share of the requests that are traced, unless the client's <c>traceparent</c> decided. Default 0.01.</summary>
    [Range(0, 1)]
    public double SampleRatio { get; init; } = 0.01;
}

/// <summary>Sends spans to a collector in the background; a collector that is away costs spans, never a request.</summary>
public static class OtlpExport
{
    /// <summary>Spans that wait for the next batch; a traced request writes them in bursts.</summary>
    private const int QueueLength = 1 << 15;

    private const int BatchLength = 1 << 11;

    /// <returns>Disposing sends what is left.</returns>
    public static IDisposable Start(OtlpOptions options) => Sdk.CreateTracerProviderBuilder()
        .AddSource(StepTracer.SourceName)
        .SetSampler(new ParentBasedSampler(new TraceIdRatioBasedSampler(options.SampleRatio)))
        .ConfigureResource(resource => resource.AddService("grok1-coordinator", serviceVersion: Product.Version))
        .AddProcessor(new BatchActivityExportProcessor(
            new OtlpTraceExporter(new OtlpExporterOptions { Protocol = OtlpExportProtocol.HttpProtobuf, Endpoint = new Uri(options.Endpoint, "/v1/traces") }),
            QueueLength, maxExportBatchSize: BatchLength))
        .Build();
}
