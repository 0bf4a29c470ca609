using System.Text;

namespace Grok1Cluster.Model;

/// <summary>Text from a hostile file, made fit for a one-line message.</summary>
public static class Printable
{
    private const int MaxLength = 120;

    /// <summary>
    /// <paramref name="text"/> with whatever a terminal might obey (control and format characters, lone surrogates) replaced by '?',
    /// and cut after 120 characters.
    /// </summary>
    public static string OneLine(string text)
    {
        var clean = new StringBuilder();
        foreach (var rune in text.EnumerateRunes())
        {
            if (clean.Length >= MaxLength)
                return clean.Append("...").ToString();
            clean.Append(IsSafe(rune) ? rune.ToString() : "?");
        }
        return clean.ToString();
    }

    private static bool IsSafe(Rune rune) =>
        rune != Rune.ReplacementChar && Rune.GetUnicodeCategory(rune) is not (
            System.Globalization.UnicodeCategory.Control or System.Globalization.UnicodeCategory.Format or
            System.Globalization.UnicodeCategory.LineSeparator or System.Globalization.UnicodeCategory.ParagraphSeparator or
            System.Globalization.UnicodeCategory.OtherNotAssigned or System.Globalization.UnicodeCategory.PrivateUse);
}
