using System.Collections.Immutable;
using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cli.Verbs;
using Grok1Cluster.Cluster.Costs;

namespace Grok1Cluster.Cli.Options;

/// <summary>Flags that say how fast the machines of a cluster are that need not exist.</summary>
internal sealed class FleetOptions
{
    private static readonly MachineCosts Default = new();

    private readonly FormattedOption<long[]?> _readBandwidth = new(
        "--read-bandwidth", TextFormats.ByteList, null, "bytes a second that a worker reads from memory: one for all, or one for each (default: 100GB)");

    private readonly FormattedOption<long[]?> _memory = new(
        "--worker-memory", TextFormats.ByteList, null, "most bytes of experts on a worker: one for all, or one for each (default: no limit)");

    private readonly FormattedOption<double> _teraOps = new(
        "--tera-ops", TextFormats.Real(1e-6, 1e6), Default.OpsPerSecond / 1e12, "10^12 operations a second of a worker in long products; a multiply and an add are two");

    private readonly FormattedOption<long?> _coordinatorReadBandwidth = new(
        "--coordinator-read-bandwidth", TextFormats.Optional(TextFormats.Bytes), null, "bytes a second that the coordinator reads (default: as the first worker)");

    private readonly FormattedOption<double?> _coordinatorTeraOps = new(
        "--coordinator-tera-ops", TextFormats.Optional(TextFormats.Real(1e-6, 1e6)), null, "operations of the coordinator (default: as --tera-ops)");

    private readonly FormattedOption<long?> _link = new(
        "--link", TextFormats.Optional(TextFormats.Bytes), null, "bytes a second of every machine's network link, each way (default: 1.25GB, 10 Gbit/s)");

    private readonly FormattedOption<double> _roundTrip = new(
        "--round-trip", TextFormats.Real(0.001, 1e7), Default.RoundTripSeconds * 1e6, "microseconds from an empty call to its reply, programs included");

    /// <summary>All of them.</summary>
    public IReadOnlyList<Option> Flags => [_readBandwidth, _coordinatorReadBandwidth, _teraOps, _coordinatorTeraOps, _link, _roundTrip, _memory];

    public void AddTo(Command command)
    {
        foreach (var option in Flags)
            command.Add(option);
    }

    /// <exception cref="UsageException">A list is neither one long nor as long as there are workers.</exception>
    public Fleet Read(VerbContext context, IReadOnlyList<string> workerIds)
    {
        var read = OneForEach(_readBandwidth, context, workerIds.Count);
        var memory = OneForEach(_memory, context, workerIds.Count);
        var machine = Default with
        {
            OpsPerSecond = context.Get(_teraOps) * 1e12,
            LinkBytesPerSecond = context.Get(_link) ?? Default.LinkBytesPerSecond,
            RoundTripSeconds = context.Get(_roundTrip) / 1e6,
        };
        var workers = workerIds.Index().ToImmutableDictionary(worker => worker.Item, worker => machine with
        {
            ReadBytesPerSecond = read(worker.Index) ?? Default.ReadBytesPerSecond,
            MemoryBytes = memory(worker.Index),
        });
        var coordinator = machine with
        {
            ReadBytesPerSecond = context.Get(_coordinatorReadBandwidth) ?? read(0) ?? Default.ReadBytesPerSecond,
            OpsPerSecond = context.Get(_coordinatorTeraOps) * 1e12 ?? machine.OpsPerSecond,
        };
        return new Fleet(coordinator, workers);
    }

    private static Func<int, long?> OneForEach(FormattedOption<long[]?> option, VerbContext context, int workers) => context.Get(option) switch
    {
        null or [] => _ => null,
        [var all] => _ => all,
        var list when list.Length == workers => worker => list[worker],
        var list => throw new UsageException($"{option.Name}: {list.Length} sizes for {workers} workers; give one for all, or one for each"),
    };
}
