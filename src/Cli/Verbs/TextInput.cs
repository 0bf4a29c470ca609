using System.Runtime.CompilerServices;
using System.Text;
using Grok1Cluster.Cli.Errors;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Text that a flag names: a file, or <c>-</c> for stdin. UTF-8; what is not becomes U+FFFD.</summary>
internal static class TextInput
{
    /// <summary>Keeps a byte order mark: a tokenizer sees every character.</summary>
    private static readonly UTF8Encoding Encoding = new(encoderShouldEmitUTF8Identifier: false);

    /// <exception cref="UsageException">It cannot be read; the message begins with the flag.</exception>
    public static async Task<string> ReadAllAsync(string flag, string path, CancellationToken cancel)
    {
        try
        {
            using var reader = Open(path);
            return await reader.ReadToEndAsync(cancel);
        }
        catch (Exception e) when (IsUnreadable(e))
        {
            throw Refuse(flag, path, e);
        }
    }

    /// <inheritdoc cref="ReadAllAsync"/>
    public static async IAsyncEnumerable<string> ReadLinesAsync(string flag, string path, [EnumeratorCancellation] CancellationToken cancel)
    {
        StreamReader reader;
        try
        {
            reader = Open(path);
        }
        catch (Exception e) when (IsUnreadable(e))
        {
            throw Refuse(flag, path, e);
        }
        using (reader)
            while (await reader.ReadLineAsync(cancel) is { } line)
                yield return line;
    }

    private static StreamReader Open(string path) =>
        new(path == "-" ? Console.OpenStandardInput() : File.OpenRead(path), Encoding, detectEncodingFromByteOrderMarks: false);

    private static bool IsUnreadable(Exception e) => e is IOException or UnauthorizedAccessException or ArgumentException;

    private static UsageException Refuse(string flag, string path, Exception e) => new($"{flag}: {path} cannot be read: {e.Message}", e);
}
