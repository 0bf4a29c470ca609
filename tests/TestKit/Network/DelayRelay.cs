using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Grok1Cluster.TestKit.Network;

/// <summary>
/// A TCP relay that hands every byte on a fixed time after it came, in both directions: a link of that length. Each direction
/// of a connection has two threads that block or sleep, so that waiting takes no processor time from what is measured.
/// <see cref="RelayCost"/> says what the relay itself adds.
/// </summary>
public sealed partial class DelayRelay : IDisposable
{
    private const int ChunkBytes = 256 << 10;

    /// <summary>Chunks on the way in one direction; more, and the sender waits as it would for a full link.</summary>
    private const int MostChunks = 256;

    private readonly Socket _listener;
    private readonly IPEndPoint _target;
    private readonly long _delayTicks;
    private readonly ConcurrentBag<Socket> _sockets = [];
    private volatile bool _disposed;

    /// <param name="listen">Where to listen; port 0 takes a free one.</param>
    /// <param name="target">Where each connection is carried on to.</param>
    /// <param name="oneWay">How long a byte is on the way, each way.</param>
    public DelayRelay(IPEndPoint listen, IPEndPoint target, TimeSpan oneWay)
    {
        (_target, _delayTicks) = (target, (long)(oneWay.TotalSeconds * Stopwatch.Frequency));
        _listener = new Socket(listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        _listener.Bind(listen);
        _listener.Listen();
        Address = (IPEndPoint)_listener.LocalEndPoint!;
        Start(Accept, "relay accept");
    }

    /// <summary>Where it listens.</summary>
    public IPEndPoint Address { get; }

    /// <summary>Ends every connection.</summary>
    public void Dispose()
    {
        _disposed = true;
        _listener.Dispose();
        foreach (var socket in _sockets)
            socket.Dispose();
    }

    private void Accept()
    {
        while (!_disposed)
            try
            {
                var (near, far) = (_listener.Accept(), new Socket(_target.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
                _sockets.Add(near);
                _sockets.Add(far);
                far.Connect(_target);
                near.NoDelay = far.NoDelay = true;
                Carry(near, far);
                Carry(far, near);
                if (_disposed)
                    Dispose();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // Closed, or the target refuses: then the connection ends as one to a dead host does.
            }
    }

    private void Carry(Socket from, Socket to)
    {
        var chunks = new BlockingCollection<(byte[] Bytes, int Count, long Due)>(MostChunks);
        var spare = new ConcurrentBag<byte[]>();
        Start(() => Receive(from, chunks, spare), "relay receive");
        Start(() => Send(to, chunks, spare), "relay send");
    }

    private void Receive(Socket from, BlockingCollection<(byte[] Bytes, int Count, long Due)> chunks, ConcurrentBag<byte[]> spare)
    {
        try
        {
            int count;
            do
            {
                if (!spare.TryTake(out var bytes))
                    bytes = new byte[ChunkBytes];
                count = from.Receive(bytes);
                // The end of the stream is carried over too, as a chunk of nothing.
                chunks.Add((bytes, count, Stopwatch.GetTimestamp() + _delayTicks));
            }
            while (count > 0);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            try
            {
                chunks.TryAdd(([], 0, 0));
            }
            catch (InvalidOperationException)
            {
                // The sending side has given up before.
            }
        }
    }

    private static void Send(Socket to, BlockingCollection<(byte[] Bytes, int Count, long Due)> chunks, ConcurrentBag<byte[]> spare)
    {
        try
        {
            foreach (var (bytes, count, due) in chunks.GetConsumingEnumerable())
            {
                LinkThread.SleepUntil(due);
                if (count == 0)
                {
                    to.Shutdown(SocketShutdown.Send);
                    return;
                }
                for (var sent = 0; sent < count;)
                    sent += to.Send(bytes.AsSpan(sent, count - sent));
                spare.Add(bytes);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            chunks.CompleteAdding();
        }
    }

    private static void Start(ThreadStart run, string name) =>
        new Thread(() =>
        {
            LinkThread.Prepare();
            run();
        }) { IsBackground = true, Name = name }.Start();

    /// <summary>What a thread needs to stand for a link.</summary>
    private static partial class LinkThread
    {
        private const int SetTimerSlack = 29, FirstInFirstOut = 1;

        /// <summary>Of this thread, where the system allows it, which it does to root.</summary>
        public static void Prepare()
        {
            if (!OperatingSystem.IsLinux())
                return;
            // Timers may otherwise be 50 us late, to be merged with others.
            _ = Control(SetTimerSlack, 1, 0, 0, 0);
            // A link does not wait until those who compute leave it a processor: that may take milliseconds.
            _ = SetScheduler(0, FirstInFirstOut, 1);
        }

        /// <summary>Sleeps to within some microseconds; the runtime's own sleep counts whole milliseconds.</summary>
        public static void SleepUntil(long due)
        {
            for (long left; (left = due - Stopwatch.GetTimestamp()) > 0;)
            {
                var nanoseconds = (long)(left * (1e9 / Stopwatch.Frequency));
                var time = new Timespec { Seconds = (nint)(nanoseconds / 1_000_000_000), Nanoseconds = (nint)(nanoseconds % 1_000_000_000) };
                _ = Nanosleep(time, 0);
            }
        }

        [StructLayout(LayoutKind.Sequential)]
        private struct Timespec
        {
            public nint Seconds;
            public nint Nanoseconds;
        }

        [LibraryImport("libc", EntryPoint = "nanosleep")]
        private static partial int Nanosleep(in Timespec time, nint left);

        /// <param name="thread">0 is this one.</param>
        /// <param name="policy">How it is scheduled.</param>
        /// <param name="priority">The only field of struct sched_param.</param>
        [LibraryImport("libc", EntryPoint = "sched_setscheduler")]
        private static partial int SetScheduler(int thread, int policy, in int priority);

        [LibraryImport("libc", EntryPoint = "prctl")]
        private static partial int Control(int option, nuint value, nuint a, nuint b, nuint c);
    }
}
