using System.Diagnostics;
using System.Diagnostics.Metrics;
using Grok1Cluster.Cluster.Metrics;
using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Coordinator.Metrics;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Tests.Metrics;

public sealed class StepMetricsTests
{
    private const int Layers = 4;

    [Fact]
    public void A_recorded_step_allocates_nothing()
    {
        using var meter = new Meter("test");
        using var collector = new MetricCollector(meter);
        var recorder = new StepRecorder(Layers, new StoppedTime()) { Ended = new StepMetrics(meter, Layers).Add };
        for (var step = 0; step < 100; step++)
            Record(recorder);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var step = 0; step < 100; step++)
            Record(recorder);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void The_straggler_is_the_last_to_answer_and_costs_what_it_took_after_the_last_but_one()
    {
        using var meter = new Meter("test");
        using var collector = new MetricCollector(meter);
        var metrics = new StepMetrics(meter, Layers);
        Record(new StepRecorder(Layers, new StoppedTime()) { Ended = metrics.Add });

        Assert.Equal(["a", "b", "c"], metrics.Workers.Select(worker => worker.Id));
        Assert.Equal([0, Layers * 3e-3, 0], metrics.Workers.Select(worker => Math.Round(worker.StragglerSeconds, 9)));
        var text = new Exposition(collector.Write());
        Assert.Equal(Layers * 1e-3, text.Sum("grok1_dispatch_seconds_sum", "worker=\"a\"", "phase=\"send\""), 9);
        Assert.Equal(Layers * 0.5e-3, text.Sum("grok1_dispatch_seconds_sum", "worker=\"a\"", "phase=\"queue\""), 9);
        Assert.Equal(Layers * 1.5e-3, text.Sum("grok1_dispatch_seconds_sum", "worker=\"a\"", "phase=\"compute\""), 9);
        Assert.Equal(Layers * 2e-3, text.Sum("grok1_dispatch_seconds_sum", "worker=\"a\"", "phase=\"receive\""), 9);
        Assert.Equal(Layers * 100 * 3, text.Sum("grok1_wire_bytes_total", "direction=\"sent\""));
        Assert.Equal(10e-3 * Layers, text.Sum("grok1_layer_seconds_total", "part=\"experts\""), 9);
        Assert.Equal(1e-3 * Layers, text.Sum("grok1_layer_seconds_total", "part=\"attention\""), 9);
    }

    [Fact]
    public void Text_of_labels_is_escaped_and_a_histogram_is_cumulated()
    {
        using var meter = new Meter("test");
        using var collector = new MetricCollector(meter);
        var histogram = meter.CreateHistogram("t_seconds", null, "Times.", tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.5, 1] });
        foreach (var value in (double[])[0.5, 0.7, 3])
            histogram.Record(value, new KeyValuePair<string, object?>("name", "a\"b\\c\nd"));
        Assert.Equal(
            """
            # HELP t_seconds Times.
            # TYPE t_seconds histogram
            t_seconds_bucket{name="a\"b\\c\nd",le="0.5"} 1
            t_seconds_bucket{name="a\"b\\c\nd",le="1"} 2
            t_seconds_bucket{name="a\"b\\c\nd",le="+Inf"} 3
            t_seconds_sum{name="a\"b\\c\nd"} 4.2
            t_seconds_count{name="a\"b\\c\nd"} 3

            """, collector.Write());
    }

    /// <summary>Layers of 1 ms of attention and 10 ms of experts; worker b answers after 9 ms, c after 6, a after 5.</summary>
    private static void Record(StepRecorder recorder)
    {
        var ms = Stopwatch.Frequency / 1000;
        for (var layer = 0; layer < Layers; layer++)
        {
            var start = ms * (1 + 1 + 11 * layer);
            recorder.Called(layer, 0, "a", new CallTiming(start, start + ms, start + 5 * ms, 500, 1500, 1, 100, 50));
            recorder.Called(layer, 0, "b", new CallTiming(start, start + ms, start + 9 * ms, 0, 2000, 1, 100, 50));
            recorder.Called(layer, 0, "c", new CallTiming(start, start + ms, start + 6 * ms, 0, 2000, 1, 100, 50));
            recorder.LayerEnded(layer, 0, 1, start, start + 10 * ms);
        }
        recorder.StepEnded(new StepTimes(ms, ms * (2 + 11 * Layers), 1, 1, null));
    }

    /// <summary>Time that does not pass.</summary>
    private sealed class StoppedTime : TimeProvider
    {
        public override long GetTimestamp() => 0;
    }
}
