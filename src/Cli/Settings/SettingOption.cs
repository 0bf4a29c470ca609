namespace Grok1Cluster.Cli.Settings;

/// <summary>A flag that can also be given by the environment or in a config file.</summary>
internal interface ISettingOption
{
    /// <summary>The flag, with its dashes.</summary>
    string Name { get; }

    /// <summary><c>section:key</c>, as in a config file; the environment variable follows from it.</summary>
    string Key { get; }

    /// <summary>What is wrong with a text for this setting, or null.</summary>
    string? Problem(string text);
}

/// <inheritdoc cref="ISettingOption"/>
internal sealed class SettingOption<T> : FormattedOption<T>, ISettingOption
{
    public SettingOption(string flag, string key, TextFormat<T> format, T defaultValue, string description)
        : base(flag, format, defaultValue, description) => (Key, Default) = (key, defaultValue);

    public string Key { get; }

    /// <summary>The value where no layer gives one.</summary>
    public T Default { get; }
}
