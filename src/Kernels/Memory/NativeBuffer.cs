using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Memory;

/// <summary>
/// Zeroed memory outside the managed heap, aligned to 64 bytes: it never moves, so kernels keep pointers into it, and
/// its size may exceed 2 GiB. Pages are committed when first touched, large buffers in huge pages where the system has them. Freed on <see cref="Dispose"/>, or by the finaliser.
/// </summary>
public sealed unsafe class NativeBuffer<T> : IDisposable where T : unmanaged
{
    private const nuint Alignment = 64;
    private readonly nuint _bytes;
    private void* _allocation;
    private T* _pointer;

    /// <param name="length">Elements, not bytes.</param>
    public NativeBuffer(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = length;
        // A vector load of a tail may touch up to one vector past the last element, never more.
        _bytes = checked((nuint)length * (nuint)sizeof(T) + 2 * Alignment);
        _allocation = AnonymousPages.Offered(_bytes) ? AnonymousPages.Allocate(_bytes) : NativeMemory.AllocZeroed(_bytes);
        _pointer = (T*)(((nuint)_allocation + Alignment - 1) & ~(Alignment - 1));
    }

    ~NativeBuffer() => Free();

    /// <summary>Elements.</summary>
    public long Length { get; }

    /// <summary>First element; valid until <see cref="Dispose"/>.</summary>
    public T* Pointer => _pointer;

    public Span<T> Span => new(_pointer, checked((int)Length));

    public Span<T> Slice(long start, int length)
    {
        if ((ulong)start > (ulong)Length || (ulong)length > (ulong)(Length - start))
            throw new ArgumentOutOfRangeException(nameof(start), $"[{start}, {start} + {length}) lies outside a buffer of {Length} elements");
        return new Span<T>(_pointer + start, length);
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (_allocation is not null && AnonymousPages.Offered(_bytes))
            AnonymousPages.Free(_allocation, _bytes);
        else
            NativeMemory.Free(_allocation);
        _allocation = null;
        _pointer = null;
    }
}
