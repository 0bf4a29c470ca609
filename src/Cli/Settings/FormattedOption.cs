using System.CommandLine;
using System.CommandLine.Parsing;

namespace Grok1Cluster.Cli.Settings;

/// <summary>A flag whose errors name the flag and say what is allowed.</summary>
internal class FormattedOption<T> : Option<T>
{
    private readonly TextFormat<T> _format;

    /// <param name="defaultValue">Shown in help, unless null: then the description has to say what happens.</param>
    public FormattedOption(string flag, TextFormat<T> format, T? defaultValue, string description) : base(flag)
    {
        _format = format;
        Description = description;
        // The library reads switches, with and without a value, as it should.
        if (typeof(T) == typeof(bool))
            return;
        HelpName = format.Placeholder;
        CustomParser = ParseFlag;
        // Help would show the name that an enumeration has in the code, not the one that the flag takes.
        if (defaultValue is Enum)
            Description = $"{description} (default: {defaultValue.ToString()!.ToLowerInvariant()})";
        else if (defaultValue is not null)
            DefaultValueFactory = _ => defaultValue;
    }

    /// <summary>Between values, where the flag may be given several times; null: once.</summary>
    public string? Separator { get; init; }

    /// <summary>What is wrong with a text for this option, or null.</summary>
    public string? Problem(string text) => _format.TryParse(text, out _) ? null : $"'{text}' is not {_format.Allowed}";

    /// <summary>The value of a text without a <see cref="Problem"/>.</summary>
    public T Parse(string text) => _format.TryParse(text, out var value) ? value : throw new FormatException(Problem(text));

    private T? ParseFlag(ArgumentResult argument)
    {
        // How often a flag may be given is the library's to check.
        var text = Separator is null ? argument.Tokens[^1].Value : string.Join(Separator, argument.Tokens);
        if (_format.TryParse(text, out var value))
            return value;
        argument.AddError($"{Name}: {Problem(text)}");
        return default;
    }
}
