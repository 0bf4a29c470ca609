using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Grok1Cluster.Cluster.Metrics;

/// <summary>What every Prometheus client tells of its process, under the names that they all use.</summary>
public static class ProcessMetrics
{
    public static void AddTo(Meter meter)
    {
        double started;
        using (var self = Process.GetCurrentProcess())
            started = new DateTimeOffset(self.StartTime).ToUnixTimeMilliseconds() / 1000.0;
        meter.CreateObservableGauge("process_start_time_seconds", () => started, description: "Start of the process, in seconds since 1970.");
        meter.CreateObservableCounter("process_cpu_seconds_total", () => Environment.CpuUsage.TotalTime.TotalSeconds, description: "User and system time of the process.");
        meter.CreateObservableGauge("process_resident_memory_bytes", () => Environment.WorkingSet, description: "Resident memory, mapped weights included.");
        meter.CreateObservableGauge("grok1_managed_heap_bytes", () => GC.GetTotalMemory(false), description: "Memory of the garbage collector's heap.");
        meter.CreateObservableCounter("grok1_gc_pause_seconds_total", () => GC.GetTotalPauseDuration().TotalSeconds, description: "Time that the garbage collector stopped the process.");
    }
}
