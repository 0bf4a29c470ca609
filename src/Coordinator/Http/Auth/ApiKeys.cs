using System.Security.Cryptography;
using System.Text;

namespace Grok1Cluster.Coordinator.Http.Auth;

/// <summary>
/// The keys that open the API, from a file of one key a line: <c>KEY</c> or <c>NAME KEY</c>; what follows a <c>#</c> at the
/// start of a line is a comment. The name is what limits and logs call the client. Keys are kept as SHA-256.
/// </summary>
public sealed class ApiKeys
{
    /// <summary>Shorter keys can be guessed.</summary>
    public const int LeastLength = 16;

    private const int MaxFileBytes = 1 << 20;

    private readonly IReadOnlyList<(string Name, byte[] Hash)> _keys;

    private ApiKeys(IReadOnlyList<(string Name, byte[] Hash)> keys) => _keys = keys;

    public int Count => _keys.Count;

    /// <exception cref="FormatException">The file is missing, has no key, or a line is not a key; the message never has a key.</exception>
    public static ApiKeys Load(string path)
    {
        try
        {
            if (new FileInfo(path).Length > MaxFileBytes)
                throw new FormatException($"{path} is larger than {MaxFileBytes} bytes");
            return Parse(File.ReadAllLines(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FormatException($"the keys of {path} cannot be read: {e.Message}", e);
        }
    }

    /// <param name="lines">As in a file.</param>
    /// <param name="file">What errors call it.</param>
    public static ApiKeys Parse(IReadOnlyList<string> lines, string file)
    {
        var keys = new List<(string Name, byte[] Hash)>();
        for (var i = 0; i < lines.Count; i++)
        {
            if (lines[i].TrimStart() is "" or ['#', ..])
                continue;
            var words = lines[i].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length > 2)
                throw new FormatException($"{file}, line {i + 1}: has {words.Length} words, a line is KEY or NAME KEY");
            if (words[^1].Length < LeastLength || !words[^1].All(char.IsAscii))
                throw new FormatException($"{file}, line {i + 1}: a key has at least {LeastLength} ASCII characters");
            var name = words.Length == 2 ? words[0] : $"key-{keys.Count + 1}";
            if (keys.Exists(key => key.Name == name))
                throw new FormatException($"{file}, line {i + 1}: there are two keys named {name}");
            keys.Add((name, Hash(words[^1])));
        }
        return keys.Count > 0 ? new ApiKeys(keys) : throw new FormatException($"{file} has no key; write one a line, for example from: openssl rand -hex 24");
    }

    /// <summary>Whose key this is, or null. Takes the same time for every key, known or not.</summary>
    public string? NameOf(string key)
    {
        var hash = Hash(key);
        string? found = null;
        foreach (var (name, known) in _keys)
            if (CryptographicOperations.FixedTimeEquals(hash, known))
                found = name;
        return found;
    }

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
