using System.Diagnostics;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Catalog;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Weights.Cache;

/// <summary>
/// Expert blocks of one model that came from other machines: <c>ROOT/FINGERPRINT</c> with a sparse file for each expert, in
/// which every block has its place, and a record of the blocks that are there. Only verified bytes are ever written, so
/// processes that write the same block write the same, and a block counts when its bytes were brought to disk. Nothing is created
/// before something is to be fetched. Thread-safe, and safe beside other processes.
/// </summary>
public sealed class WeightCache : IDisposable
{
    /// <summary>The record's name in the directory.</summary>
    public const string RecordName = "blocks";

    private const int NoSpace = 28;

    /// <summary>What a kill may cost: blocks are brought to disk together, because waiting for each would take longer than a fast network.</summary>
    private const long SyncBytes = 64 << 20;

    private static readonly TimeSpan SyncInterval = TimeSpan.FromSeconds(1);

    private readonly ModelStore _model;
    private readonly WeightCacheOptions _options;
    private readonly BlockRecord _record;
    private readonly Dictionary<BlockId, string> _blocks = [];
    private readonly Dictionary<BlockId, RecordedBlock> _written = [];
    private readonly Lock _gate = new();
    private readonly Lock _syncing = new();
    private DirectoryUse? _use;
    private long _bytes;
    private long _writtenBytes;
    private long _synced = Stopwatch.GetTimestamp();

    /// <param name="model">The model; its fingerprint is the name of the directory.</param>
    /// <param name="options">Where, and how much.</param>
    public WeightCache(ModelStore model, WeightCacheOptions options)
    {
        (_model, _options) = (model, options);
        Directory = Path.Combine(options.Root, model.Manifest.Fingerprint);
        _record = new BlockRecord(Path.Combine(Directory, RecordName));
        lock (_gate)
        {
            // From now on nobody makes room by removing it.
            if (System.IO.Directory.Exists(Directory))
                _use = DirectoryUse.Begin(Directory);
            ReadRecord();
        }
    }

    public string Directory { get; }

    /// <summary>Bytes of the blocks that are here.</summary>
    public long Bytes
    {
        get
        {
            lock (_gate)
                return _bytes;
        }
    }

    /// <summary>Where a block is, or null. Knows what other processes wrote up to the last <see cref="Refresh"/>.</summary>
    public StoredBlock? Find(BlockId id)
    {
        lock (_gate)
            return _blocks.TryGetValue(id, out var sha256) ? Place(id, sha256) : null;
    }

    /// <summary>Whether a block of these bytes is here, or was written and is on its way to disk.</summary>
    public bool Has(BlockId id, string sha256)
    {
        lock (_gate)
            return (_blocks.GetValueOrDefault(id) ?? (_written.TryGetValue(id, out var written) ? written.Sha256 : null)) == sha256;
    }

    /// <summary>Looks what other processes wrote.</summary>
    public void Refresh()
    {
        lock (_gate)
            ReadRecord();
    }

    /// <summary>Makes sure that so much more can be written.</summary>
    /// <param name="bytes">What is to be fetched.</param>
    /// <exception cref="ResourceException">The disk has less, or the cache may not grow so much; the message has the figures.</exception>
    public void Reserve(long bytes)
    {
        long present;
        lock (_gate)
            (present, _use) = (_bytes, _use ?? DirectoryUse.Begin(Directory));
        if (_options.Limit is { } limit)
            CacheRoom.Make(_options.Root, Directory, present + bytes, limit);
        var available = _options.AvailableBytes(Directory);
        if (available < bytes)
            throw new ResourceException($"{Directory} needs {ByteSize.FormatExactly(bytes)} more of disk, {ByteSize.FormatExactly(available)} are available there");
    }

    /// <summary>Writes blocks, which count after the next <see cref="Sync"/>; now and then that is done here.</summary>
    /// <param name="blocks">Of one expert. Verified: nothing is checked here.</param>
    /// <returns>Bytes of those that were not here before.</returns>
    /// <exception cref="ResourceException">The disk is full.</exception>
    /// <exception cref="ModelException">The cache has other bytes for a block, which another process may be using.</exception>
    public long Add(IReadOnlyList<VerifiedBlock> blocks)
    {
        if (blocks.Count == 0)
            return 0;
        lock (_gate)
        {
            foreach (var block in blocks)
                if (_blocks.TryGetValue(block.Id, out var sha256) && sha256 != block.Sha256)
                    throw new ModelException($"{Directory}: has {block.Id} with other bytes than are asked for now; stop the workers that use it and remove it");
            _use ??= DirectoryUse.Begin(Directory);
        }
        OnDisk(() => Write(blocks));
        var added = 0L;
        bool due;
        lock (_gate)
        {
            foreach (var block in blocks)
                if (!_blocks.ContainsKey(block.Id) && _written.TryAdd(block.Id, new RecordedBlock(block.Id, block.Bytes.Length, block.Sha256)))
                    added += block.Bytes.Length;
            _writtenBytes += added;
            due = _writtenBytes >= SyncBytes || Stopwatch.GetElapsedTime(_synced) >= SyncInterval;
        }
        if (due)
            Sync();
        return added;
    }

    /// <summary>Brings to disk what was written, and then records it.</summary>
    /// <exception cref="ResourceException">The disk is full.</exception>
    public void Sync()
    {
        lock (_syncing)
        {
            RecordedBlock[] written;
            lock (_gate)
            {
                written = [.. _written.Values];
                (_writtenBytes, _synced) = (0, Stopwatch.GetTimestamp());
            }
            if (written.Length == 0)
                return;
            OnDisk(() =>
            {
                // Side by side: a file system brings several files to disk in the time of one.
                Parallel.ForEach(written.Select(block => FilePath(block.Id)).Distinct(), path =>
                {
                    using var file = Open(path);
                    file.Flush(flushToDisk: true);
                });
                lock (_gate)
                {
                    _record.Append(written);
                    ReadRecord();
                    foreach (var block in written)
                        _written.Remove(block.Id);
                }
            });
        }
    }

    public void Dispose() => _use?.Dispose();

    private void Write(IReadOnlyList<VerifiedBlock> blocks)
    {
        var path = FilePath(blocks[0].Id);
        System.IO.Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var file = Open(path);
        if (file.Length < FileBytes)
            file.SetLength(FileBytes);
        foreach (var block in blocks)
            RandomAccess.Write(file.SafeFileHandle, block.Bytes.Span, Offset(block.Id));
    }

    private static FileStream Open(string path) =>
        new(path, new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.ReadWrite, BufferSize = 0 });

    private void OnDisk(Action work)
    {
        try
        {
            work();
        }
        catch (Exception e) when ((e as AggregateException)?.InnerException is IOException { HResult: NoSpace } || e is IOException { HResult: NoSpace })
        {
            throw new ResourceException($"{Directory}: the disk is full; what was fetched so far is kept");
        }
    }

    private long FileBytes => _model.ExpertLayout.Bytes(0, _model.ExpertLayout.Blocks.Count);

    private string FilePath(BlockId id) => Path.Combine(Directory, ModelStore.ExpertFile(id.Layer, id.Expert));

    private long Offset(BlockId id) => _model.ExpertLayout.Bytes(0, id.Block);

    private StoredBlock Place(BlockId id, string sha256) => new(id, FilePath(id), FileBytes, Offset(id), _model.ExpertLayout.Blocks[id.Block].Bytes, sha256);

    private void ReadRecord()
    {
        var (config, layout) = (_model.Config, _model.ExpertLayout);
        foreach (var block in _record.ReadNew())
            if (block.Id.Layer < config.LayerCount && block.Id.Expert < config.ExpertCount && block.Id.Block < layout.Blocks.Count
                && layout.Blocks[block.Id.Block].Bytes == block.Bytes && HasFile(block.Id) && _blocks.TryAdd(block.Id, block.Sha256))
                _bytes += block.Bytes;
    }

    /// <summary>A power cut may leave the record and lose a file that was made at the same time.</summary>
    private bool HasFile(BlockId id) => new FileInfo(FilePath(id)) is { Exists: true } file && file.Length == FileBytes;
}
