using System.CommandLine;

namespace Grok1Cluster.Cli.Settings;

/// <summary>The table from flags to <c>section:key</c>, gathered from the commands themselves.</summary>
internal static class SettingNames
{
    public const string EnvironmentPrefix = "GROK1__";

    /// <summary>Every setting of a command and of those below it, each key once.</summary>
    public static IEnumerable<ISettingOption> All(Command command) =>
        Walk(command).DistinctBy(setting => setting.Key).OrderBy(setting => setting.Key, StringComparer.Ordinal);

    /// <summary>The environment variable of a key: <c>cluster:kv_memory</c> is <c>GROK1__CLUSTER__KV_MEMORY</c>.</summary>
    public static string Environment(string key) => EnvironmentPrefix + key.Replace(":", "__").ToUpperInvariant();

    private static IEnumerable<ISettingOption> Walk(Command command) =>
        command.Options.OfType<ISettingOption>().Concat(command.Subcommands.SelectMany(Walk));
}
