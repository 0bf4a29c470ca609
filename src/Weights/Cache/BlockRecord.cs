using System.Globalization;
using System.Text;
using Grok1Cluster.Model.Catalog;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Weights.Cache;

/// <summary>A line of the record: a block whose bytes were verified and are on disk.</summary>
/// <param name="Id">Which.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Sha256">Lower-case hexadecimal.</param>
internal readonly record struct RecordedBlock(BlockId Id, long Bytes, string Sha256);

/// <summary>
/// The file that says which blocks of a cache may be used. It is only ever appended to, by any number of processes in turn. A
/// line begins with its newline, so that whatever a kill or a power cut left before it does not spoil it; what cannot be
/// read is a block that is not there.
/// </summary>
internal sealed class BlockRecord(string path)
{
    private const int Sha256Digits = 64;

    /// <summary>More than a model of 2^24 blocks would need is no record of ours.</summary>
    private const long MaxBytes = 2L << 30;

    private static readonly TimeSpan LockInterval = TimeSpan.FromMilliseconds(2);

    private long _read;

    /// <summary>What was recorded since the last time, by whichever process.</summary>
    public List<RecordedBlock> ReadNew()
    {
        var blocks = new List<RecordedBlock>();
        if (!File.Exists(path))
            return blocks;
        using var file = Open(FileAccess.Read);
        if (file.Length <= _read || file.Length > MaxBytes)
            return blocks;
        file.Position = _read;
        using var reader = new StreamReader(file, Encoding.ASCII);
        while (reader.ReadLine() is { } line)
            if (TryParse(line, out var block))
                blocks.Add(block);
        _read = file.Length;
        return blocks;
    }

    /// <summary>Records blocks whose bytes are on disk.</summary>
    public void Append(IEnumerable<RecordedBlock> blocks)
    {
        var lines = new StringBuilder();
        foreach (var block in blocks)
            lines.Append(CultureInfo.InvariantCulture, $"\n{block.Id.Layer} {block.Id.Expert} {block.Id.Block} {block.Bytes} {block.Sha256}");
        using var file = Open(FileAccess.ReadWrite);
        file.Position = file.Length;
        file.Write(Encoding.ASCII.GetBytes(lines.ToString()));
        file.Flush(flushToDisk: true);
    }

    private static bool TryParse(string line, out RecordedBlock block)
    {
        block = default;
        var parts = line.Split(' ');
        if (parts.Length != 5 || !Number(parts[0], out var layer) || !Number(parts[1], out var expert) || !Number(parts[2], out var number)
            || !long.TryParse(parts[3], NumberStyles.None, CultureInfo.InvariantCulture, out var bytes)
            || parts[4].Length != Sha256Digits || !parts[4].All(char.IsAsciiHexDigitLower))
            return false;
        block = new RecordedBlock(new BlockId(layer, expert, number), bytes, parts[4]);
        return true;
    }

    private static bool Number(string text, out int value) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);

    /// <summary>One process at a time; a lock ends with its holder, however that ends.</summary>
    private FileStream Open(FileAccess access)
    {
        while (true)
            try
            {
                return new FileStream(path, new FileStreamOptions
                {
                    Mode = access == FileAccess.Read ? FileMode.Open : FileMode.OpenOrCreate, Access = access, Share = access == FileAccess.Read ? FileShare.ReadWrite : FileShare.None, BufferSize = 0,
                });
            }
            catch (IOException e) when (FileLocks.IsHeld(e))
            {
                Thread.Sleep(LockInterval);
            }
    }
}
