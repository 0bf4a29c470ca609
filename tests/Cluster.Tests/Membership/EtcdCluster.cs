using System.Collections.Concurrent;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Membership.Etcd;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Plans;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Membership;

/// <summary>Coordinators and workers of one cluster in one etcd, ended in the opposite order.</summary>
internal sealed class EtcdCluster(params string[] endpoints) : IAsyncDisposable
{
    private readonly Stack<IAsyncDisposable> _owned = [];

    /// <summary>Everything that somebody should know, as it was told.</summary>
    public ConcurrentQueue<string> Notes { get; } = [];

    private event Action? Noted;

    /// <summary>Waits until something is told.</summary>
    public async Task UntilNotedAsync(Func<string, bool> wanted)
    {
        var told = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Look()
        {
            if (Notes.Any(wanted))
                told.TrySetResult();
        }
        Noted += Look;
        try
        {
            Look();
            await told.Task.WaitAsync(Grok1Process.DefaultTimeout);
        }
        finally
        {
            Noted -= Look;
        }
    }

    /// <summary>The lines about entries that are not what they should be.</summary>
    public IEnumerable<string> BadEntries => Notes.Where(note => note.Contains("is passed over", StringComparison.Ordinal));

    /// <summary>So patient that a busy machine does not look like an etcd that is away.</summary>
    public EtcdOptions Options { get; init; } = new()
    {
        Endpoints = endpoints, Cluster = $"test-{Guid.NewGuid():N}", Lease = TimeSpan.FromSeconds(20), CallTimeout = TimeSpan.FromSeconds(10),
    };

    public string Key(string name) => $"/grok1/{Options.Cluster}/{name}";

    public async Task<EtcdMembership> CoordinatorAsync(string id, PlanGeometry? geometry = null, EtcdOptions? options = null, string? address = null)
    {
        var opened = await EtcdMembership.OpenAsync(
            options ?? Options, id, address ?? $"{id}:8080", geometry ?? Geometries.TinyA, Note, CancellationToken.None);
        _owned.Push(opened);
        return opened;
    }

    public async Task<EtcdRegistration> WorkerAsync(string id, string? address = null, EtcdOptions? options = null)
    {
        var started = await EtcdRegistration.StartAsync(options ?? Options, Record(id, address), Note, CancellationToken.None);
        _owned.Push(started);
        return started;
    }

    private void Note(string line)
    {
        Notes.Enqueue(line);
        Noted?.Invoke();
    }

    public static WorkerRecord Record(string id, string? address = null) => new(
        id, address ?? $"{id}:9050", Bytes: 1000, CapacityBytes: 2000, Tiles: 3, TilesDigest: "00", Version: "0.1.0", Protocol: 1, Kernel: "k", Fingerprint: "f",
        Leaving: false, Instance: Guid.NewGuid().ToString("N"));

    /// <summary>A worker as it stands in etcd.</summary>
    public static string Json(string id, string address) =>
        $$"""{"id":"{{id}}","address":"{{address}}","bytes":0,"capacity_bytes":0,"tiles":0,"tiles_digest":"","version":"","protocol":1,"kernel":"","fingerprint":"","leaving":false,"instance":""}""";

    public static Plan Plan(long epoch, params string[] workers) => Planner.Sliced(Geometries.TinyA, workers.Length == 0 ? ["worker-0"] : workers) with { Epoch = epoch };

    public async ValueTask DisposeAsync()
    {
        while (_owned.TryPop(out var item))
            await item.DisposeAsync();
    }
}

internal static class Waiting
{
    /// <summary>Waits until something holds that a membership tells of.</summary>
    public static async Task UntilAsync(this IMembership membership, Func<bool> condition)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        // Looked at within the event: what comes and goes is not missed by a test that is slow to wake.
        void OnChanged()
        {
            if (condition())
                reached.TrySetResult();
        }
        membership.Changed += OnChanged;
        try
        {
            if (!condition())
                await reached.Task.WaitAsync(Grok1Process.DefaultTimeout);
        }
        finally
        {
            membership.Changed -= OnChanged;
        }
    }

    public static Task UntilWorkersAsync(this IMembership membership, params string[] ids) =>
        membership.UntilAsync(() => Ids(membership).SequenceEqual(ids));

    public static IEnumerable<string?> Ids(this IMembership membership) => membership.Workers.Select(worker => worker.Id);

    /// <summary>The fewest workers that there were at any change from now on.</summary>
    public static Func<int> Fewest(this IMembership membership)
    {
        var fewest = membership.Workers.Count;
        membership.Changed += () => fewest = Math.Min(fewest, membership.Workers.Count);
        return () => fewest;
    }
}
