using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace Grok1Cluster.Model.Checkpoints;

/// <summary>A file mapped read-only into memory from its first byte to its last.</summary>
internal sealed unsafe class MappedFile : IDisposable
{
    /// <summary>Bytes after which it is looked whether somebody gives up; a multiple of every size of page.</summary>
    private const long CancelEvery = 1 << 20;

    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly Lock _disposing = new();
    private byte* _start;

    private MappedFile(string path, long length, MemoryMappedFile map, MemoryMappedViewAccessor view)
    {
        (Path, Length, _map, _view) = (path, length, map, view);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
        _start += _view.PointerOffset;
    }

    public string Path { get; }

    /// <summary>Bytes.</summary>
    public long Length { get; }

    public byte* Start => _start is not null ? _start : throw new ObjectDisposedException(Path);

    /// <exception cref="ModelException">The file is missing, empty or cannot be read.</exception>
    public static MappedFile Open(string path)
    {
        ModelFile.Length(path);
        SafeFileHandle? handle = null;
        MemoryMappedFile? map = null;
        try
        {
            handle = File.OpenHandle(path);
            var length = RandomAccess.GetLength(handle);
            map = MemoryMappedFile.CreateFromFile(handle, mapName: null, capacity: 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            return new MappedFile(path, length, map, map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read));
        }
        catch (Exception e)
        {
            map?.Dispose();
            handle?.Dispose();
            if (e is IOException or UnauthorizedAccessException or ArgumentException)
                throw new ModelException($"{path}: cannot be read: {Printable.OneLine(e.Message)}", e);
            throw;
        }
    }

    /// <summary>Reads a byte of every page of a range, which brings it into memory.</summary>
    /// <exception cref="OperationCanceledException">Cancelled on the way.</exception>
    public void Touch(long offset, long length, CancellationToken cancel)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length - offset);
        var page = Environment.SystemPageSize;
        var first = offset / page * page;
        for (var at = first; at < offset + length; at += page)
        {
            if (at % CancelEvery == 0)
                cancel.ThrowIfCancellationRequested();
            Volatile.Read(ref Start[at]);
        }
    }

    public void Dispose()
    {
        lock (_disposing)
        {
            if (_start is null)
                return;
            _start = null;
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _map.Dispose();
        }
    }
}
