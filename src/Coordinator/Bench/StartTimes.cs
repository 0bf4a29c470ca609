using System.Diagnostics;
using Grok1Cluster.Coordinator.Session;

namespace Grok1Cluster.Coordinator.Bench;

/// <summary>From nothing to a cluster that takes requests, every page of the weights touched.</summary>
/// <param name="ColdSeconds">With nothing of the model in the system's memory.</param>
/// <param name="WarmSeconds">With all of it there.</param>
/// <param name="KeptFraction">The share of the model's bytes that could not be dropped before the cold start, because another process had them mapped.</param>
public sealed record StartTimes(double ColdSeconds, double WarmSeconds, double KeptFraction)
{
    /// <summary>Starts the cluster twice, and stops it.</summary>
    /// <param name="options">The cluster.</param>
    /// <param name="note">As for <see cref="ClusterSession.StartAsync"/>.</param>
    /// <param name="cancel">Gives up.</param>
    public static async Task<StartTimes> MeasureAsync(ClusterSessionOptions options, Action<string> note, CancellationToken cancel)
    {
        var kept = PageCache.Drop(options.StorePath);
        return new StartTimes(await StartAsync(options, note, cancel), await StartAsync(options, note, cancel), kept);
    }

    private static async Task<double> StartAsync(ClusterSessionOptions options, Action<string> note, CancellationToken cancel)
    {
        var start = Stopwatch.GetTimestamp();
        await using var session = await ClusterSession.StartAsync(options, note, cancel);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
