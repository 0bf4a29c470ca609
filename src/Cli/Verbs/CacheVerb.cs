using System.CommandLine;
using System.Globalization;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Catalog;
using Grok1Cluster.Weights.Cache;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>What grok1 keeps on this machine's disk unasked, and how it goes.</summary>
internal static class CacheVerb
{
    public static Command Create() => new Verb("cache", "See and prune what is kept on disk unasked: imports of checkpoints, weights fetched from other machines.",
        "grok1 cache list", "grok1 cache prune --keep-size 20GB", "grok1 cache prune --keep-size 0        # all that no process uses")
    {
        CreateList(), CreatePrune(),
    };

    private static Command CreateList()
    {
        var weights = WeightsOption();
        var verb = new Verb("list", "List models in the caches, the least recently used first.", "grok1 cache list --json") { weights };
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            var entries = Inventory(context, weights).List();
            if (context.Output.Json)
                context.Output.WriteJson(new { Bytes = Sum(entries), Models = entries });
            else
                Write(context.Output, entries, $"{entries.Count} models, {ByteSize.Format(Sum(entries))}");
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    private static Command CreatePrune()
    {
        var weights = WeightsOption();
        var keep = new FormattedOption<long?>("--keep-size", TextFormats.Optional(TextFormats.BytesOrNone), null, "remove the least recently used models until the rest take no more; 0: keep only what is in use") { Required = true };
        var verb = new Verb("prune", "Remove models from the caches, the least recently used first. What a process uses stays.", "grok1 cache prune --keep-size 20GB") { keep, weights };
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            var inventory = Inventory(context, weights);
            var removed = inventory.Prune(context.Get(keep)!.Value);
            var left = inventory.List();
            if (context.Output.Json)
                context.Output.WriteJson(new { Bytes = Sum(left), RemovedBytes = Sum(removed), Removed = removed, Models = left });
            else
                Write(context.Output, removed, $"{removed.Count} models removed, {ByteSize.Format(Sum(removed))}; {left.Count} left, {ByteSize.Format(Sum(left))}");
            var stuck = left.Where(entry => !entry.InUse).Select(entry => entry.Path).ToList();
            return stuck.Count == 0 || Sum(left) <= context.Get(keep) ? Task.FromResult(ExitCodes.Ok)
                : throw new IOException($"{string.Join(", ", stuck)} cannot be removed; look who owns the files");
        });
        return verb;
    }

    private static SettingOption<string?> WeightsOption() =>
        new("--cache", "worker:cache", TextFormats.OptionalText("DIR"), null, "where workers keep weights from other machines (default: weights in the user's cache of grok1)");

    private static CacheInventory Inventory(VerbContext context, SettingOption<string?> weights)
    {
        var cache = ModelPlaces.FromEnvironment().Cache;
        return new CacheInventory(cache, Path.GetFullPath(context.Get(weights) ?? Path.Combine(cache, "weights")));
    }

    private static long Sum(IEnumerable<CacheEntry> entries) => entries.Sum(entry => entry.Bytes);

    private static void Write(CommandOutput output, IReadOnlyList<CacheEntry> entries, string last)
    {
        var width = entries.Select(entry => entry.Name.Length).DefaultIfEmpty().Max();
        foreach (var entry in entries)
            output.WriteLine($"{entry.Kind,-7}  {ByteSize.Format(entry.Bytes),10}  {Used(entry),-16}  {entry.Name.PadRight(width)}  {entry.Path}");
        output.WriteLine(last);
    }

    private static string Used(CacheEntry entry) => entry.InUse ? "in use"
        : entry.LastUsed is { } time ? time.ToLocalTime().ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture) : "use unknown";
}
