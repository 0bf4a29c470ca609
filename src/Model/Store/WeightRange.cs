using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// A range of a weights file: mapped at first, so that opening costs nothing; <see cref="Load"/> brings it into memory in
/// the way that was asked for. After that <see cref="Start"/> may be another address.
/// </summary>
internal sealed unsafe class WeightRange : IDisposable
{
    /// <summary>Read at once. A slow disk takes its time for them, and who gives up waits for that.</summary>
    private const int ChunkBytes = 8 << 20;
    private readonly MappedFile _file;
    private readonly string _path;
    private readonly long _offset;
    private readonly Lock _freeing = new();
    private NativeBuffer<byte>? _copy;
    private bool _locked;
    private bool _disposed;

    /// <param name="path">The file.</param>
    /// <param name="fileBytes">The length that the manifest gives it.</param>
    /// <param name="offset">First byte of the range.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ModelException">The file cannot be read, or has another length.</exception>
    public WeightRange(string path, long fileBytes, long offset, long length)
    {
        (_path, _offset, Length) = (path, offset, length);
        _file = MappedFile.Open(path);
        if (_file.Length == fileBytes && offset >= 0 && length <= fileBytes - offset)
            return;
        _file.Dispose();
        throw new ModelException($"{path}: changed its length while it was opened");
    }

    public long Length { get; }

    public byte* Start => _copy is null ? _file.Start + _offset : _copy.Pointer;

    /// <summary>Gives the memory of a part back, which must not be read any more.</summary>
    /// <param name="offset">From <see cref="Start"/>, in bytes.</param>
    /// <param name="length">Bytes.</param>
    public void GiveBack(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length - offset);
        lock (_freeing)
            if (!_disposed)
                PageAdvice.Discard(Start + offset, length);
    }

    /// <summary>Reads everything once, so that the first token does not wait for the disk.</summary>
    /// <exception cref="ModelException">The file changed or cannot be read.</exception>
    /// <exception cref="ResourceException">The system does not allow so much locked memory.</exception>
    /// <exception cref="OperationCanceledException">Cancelled on the way; it may be loaded again.</exception>
    public void Load(WeightMemory memory, CancellationToken cancel)
    {
        if (memory.Pages == WeightPages.Copied)
            Copy(cancel);
        else
            _file.Touch(_offset, Length, cancel);
        if (memory.Locked)
            Lock();
    }

    public void Dispose()
    {
        lock (_freeing)
        {
            if (_disposed)
                return;
            if (_locked)
                LockedMemory.Unlock(Start, Length);
            _disposed = true;
            _copy?.Dispose();
            _file.Dispose();
        }
    }

    private void Copy(CancellationToken cancel)
    {
        var copy = new NativeBuffer<byte>(Length);
        try
        {
            using var handle = File.OpenHandle(_path, options: FileOptions.SequentialScan);
            for (long done = 0; done < Length;)
            {
                cancel.ThrowIfCancellationRequested();
                var read = RandomAccess.Read(handle, copy.Slice(done, (int)Math.Min(ChunkBytes, Length - done)), _offset + done);
                if (read == 0)
                    throw new ModelException($"{_path}: ended while it was read");
                done += read;
            }
        }
        catch (Exception e)
        {
            copy.Dispose();
            if (e is IOException or UnauthorizedAccessException)
                throw new ModelException($"{_path}: cannot be read: {Printable.OneLine(e.Message)}", e);
            throw;
        }
        _copy = copy;
        // A worker may hold thousands of ranges: without this each would keep a file open and mapped.
        _file.Dispose();
    }

    private void Lock()
    {
        if (!LockedMemory.TryLock(Start, Length, out var problem))
            throw new ResourceException($"{_path}: {Length} bytes cannot be locked in memory ({problem}); raise the limit (ulimit -l, or LimitMEMLOCK= of the service) or leave out --lock-memory");
        _locked = true;
    }
}
