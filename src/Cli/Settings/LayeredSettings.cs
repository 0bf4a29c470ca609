using System.CommandLine;
using System.Text.Json;
using Grok1Cluster.Cli.Errors;
using Microsoft.Extensions.Configuration;

namespace Grok1Cluster.Cli.Settings;

/// <summary>The values of a command's settings: flag, else environment <c>GROK1__SECTION__KEY</c>, else <c>--config FILE</c>, else default.</summary>
internal sealed class LayeredSettings
{
    /// <summary>Settings are a few lines of text; a file beyond this is some other file.</summary>
    private const int MaxConfigBytes = 1 << 20;

    private readonly ParseResult _parsed;
    private readonly IConfiguration _configuration;

    private LayeredSettings(ParseResult parsed, IConfiguration configuration) => (_parsed, _configuration) = (parsed, configuration);

    /// <summary>Reads all layers and checks every value that the invoked command uses.</summary>
    /// <exception cref="UsageException">Every unknown key and every wrong value of environment and file, at once.</exception>
    public static LayeredSettings Load(ParseResult parsed)
    {
        var file = ReadFile(parsed.GetValue(CommandLine.ConfigOption));
        var environment = new ConfigurationBuilder().AddEnvironmentVariables(SettingNames.EnvironmentPrefix).Build();
        var known = Keys(parsed.RootCommandResult.Command);
        // One file and one environment are for all verbs; those that this process did not need are made only to be asked.
        if (Unknown(environment, known).Concat(Unknown(file, known)).Any())
            known.UnionWith(Keys(CommandLine.CreateRoot()));
        var problems = Unknown(environment, known).Select(key => $"{SettingNames.Environment(key)} is not a setting")
            .Concat(Unknown(file, known).Select(key => ListOf(key, known) is { } list ? $"{list} in the config file is a list; give one text with commas" : $"{key} in the config file is not a setting").Distinct()).ToList();

        var settings = new LayeredSettings(parsed, new ConfigurationBuilder().AddConfiguration(file).AddConfiguration(environment).Build());
        foreach (var option in parsed.CommandResult.Command.Options.OfType<ISettingOption>())
            if (!settings.IsFlagGiven((Option)option) && settings._configuration[option.Key] is { } text && option.Problem(text) is { } problem)
                problems.Add($"{(environment[option.Key] is null ? $"{option.Key} in the config file" : SettingNames.Environment(option.Key))}: {problem}");
        return problems.Count == 0 ? settings : throw new UsageException($"{string.Join("; ", problems)} (see: grok1 --help)");
    }

    public T Get<T>(SettingOption<T> option) =>
        IsFlagGiven(option) ? _parsed.GetValue(option)!
        : _configuration[option.Key] is { } text ? option.Parse(text)
        : option.Default;

    private bool IsFlagGiven(Option option) => _parsed.GetResult(option) is { Implicit: false };

    private static IConfigurationRoot ReadFile(FileInfo? file)
    {
        var builder = new ConfigurationBuilder();
        if (file is null)
            return builder.Build();
        try
        {
            if (file.Length > MaxConfigBytes)
                throw new UsageException($"--config: {file.FullName} is larger than {MaxConfigBytes} bytes");
            using var stream = file.OpenRead();
            return builder.AddJsonStream(stream).Build();
        }
        catch (Exception e) when (e is FormatException or JsonException or IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--config: {file.FullName} cannot be read: {(e.InnerException ?? e).Message}", e);
        }
    }

    /// <summary>The setting of which a key is the first, second, ... value of a JSON list; null: it is of none.</summary>
    private static string? ListOf(string key, HashSet<string> known) =>
        key.LastIndexOf(':') is >= 0 and var end && known.Contains(key[..end]) ? key[..end] : null;

    private static HashSet<string> Keys(Command root) => SettingNames.All(root).Select(setting => setting.Key).ToHashSet(StringComparer.OrdinalIgnoreCase);

    private static IEnumerable<string> Unknown(IConfiguration configuration, HashSet<string> known) =>
        configuration.AsEnumerable()
            .Where(pair => pair.Value is not null && !known.Contains(pair.Key))
            .Select(pair => pair.Key).Order(StringComparer.Ordinal);
}
