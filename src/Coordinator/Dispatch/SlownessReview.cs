using System.Diagnostics;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Coordinator.Workers.Health;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>
/// Looks, a few times a second, whether a worker is so much slower than those that hold the same that they should be asked
/// before it. Used by the engine's thread.
/// </summary>
internal sealed class SlownessReview
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// So many times a replica's time is slow. The replica then does the work of two, so less would gain nothing.
    /// </summary>
    private const double Factor = 4;

    /// <summary>Seconds by which a call has to be slower: less does not matter.</summary>
    private const double LeastGain = 0.5e-3;

    private readonly DispatchWorkers _workers;

    /// <summary>By worker: the others that have one of its bundles.</summary>
    private readonly int[][] _standIns;
    private long _last = Stopwatch.GetTimestamp();

    public SlownessReview(DispatchWorkers workers, int layers)
    {
        _workers = workers;
        var standIns = Enumerable.Range(0, workers.Links.Length).Select(_ => new SortedSet<int>()).ToArray();
        for (var layer = 0; layer < layers; layer++)
            foreach (var bundle in workers.Bundles(layer))
                foreach (var worker in bundle.Workers)
                    standIns[worker].UnionWith(bundle.Workers.Where(other => other != worker));
        _standIns = [.. standIns.Select(others => others.ToArray())];
    }

    /// <summary>The first worker that should be tried; null: none. As of the last look.</summary>
    public int? ProbeDue { get; private set; }

    /// <summary>Looks if it is time.</summary>
    public void Look()
    {
        if (Stopwatch.GetElapsedTime(_last) < Pause)
            return;
        _last = Stopwatch.GetTimestamp();
        ProbeDue = null;
        for (var worker = 0; worker < _standIns.Length; worker++)
            if (_standIns[worker].Length > 0 && _workers.Links[worker] is { IsReady: true } link)
            {
                if (link.Health.Compare(IsSlow(worker, link.Health.Times)))
                    _workers.Pool.Reroute(link, "its calls take much longer than those of workers that hold the same");
                if (link.Health.IsProbeDue)
                    ProbeDue ??= worker;
            }
    }

    private bool IsSlow(int worker, CallTimes times)
    {
        if (!times.IsKnown)
            return false;
        var (rows, slowest, anyone) = (times.MeanRows, 0.0, false);
        var mine = times.Recent(rows);
        foreach (var other in _standIns[worker])
            if (_workers.Links[other] is { IsReady: true, Health: { Standing: WorkerStanding.Healthy } health })
            {
                anyone = true;
                slowest = Math.Max(slowest, health.Times.IsKnown ? health.Times.Recent(rows) : 0);
            }
        // Where no other was asked yet, only its own past can say what is slow.
        var expected = slowest > 0 ? slowest : times.Usual(rows);
        return anyone && mine > Factor * expected && mine - expected > LeastGain;
    }
}
