using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Grok1Cluster.TestKit.Network;

/// <summary>What a relay adds to a round trip besides the delay that it is there for.</summary>
/// <param name="DirectMicroseconds">Median round trip on loopback without it.</param>
/// <param name="RelayedMicroseconds">Median round trip through it.</param>
/// <param name="OneWay">The delay that it was given.</param>
public sealed record RelayCost(double DirectMicroseconds, double RelayedMicroseconds, TimeSpan OneWay)
{
    private const int CalibrationTurns = 3;

    /// <summary>The relay's own part of a round trip.</summary>
    public double OwnMicroseconds => RelayedMicroseconds - DirectMicroseconds - 2 * OneWay.TotalMicroseconds;

    /// <summary>
    /// Finds the delay with which a round trip takes a given time more than through a relay without delay: threads wake late, and
    /// the later the longer they slept, which is the relay's part and not the link's; and what it needs to hand a message on passes within the delay.
    /// </summary>
    /// <param name="roundTrip">The time that is wanted.</param>
    /// <param name="undelayed">The relay without delay.</param>
    /// <param name="bytes">Of a message.</param>
    /// <param name="rounds">Round trips timed.</param>
    /// <returns>The cost with the delay that was found: a quarter of the round trip to all of it, however busy the machine was meanwhile.</returns>
    public static RelayCost Calibrate(TimeSpan roundTrip, RelayCost undelayed, int bytes, int rounds)
    {
        var oneWay = roundTrip / 2;
        for (var turn = 0; turn < CalibrationTurns; turn++)
        {
            var excess = Measure(oneWay, bytes, rounds).RelayedMicroseconds - undelayed.RelayedMicroseconds - roundTrip.TotalMicroseconds;
            oneWay = TimeSpan.FromMicroseconds(Math.Clamp(oneWay.TotalMicroseconds - excess / 2, roundTrip.TotalMicroseconds / 4, roundTrip.TotalMicroseconds));
        }
        return Measure(oneWay, bytes, rounds);
    }

    /// <summary>Measures with an echo on loopback, one message in flight.</summary>
    /// <param name="oneWay">The delay.</param>
    /// <param name="bytes">Of a message.</param>
    /// <param name="rounds">Round trips timed, at least 10.</param>
    public static RelayCost Measure(TimeSpan oneWay, int bytes, int rounds)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        using var relay = new DelayRelay(new IPEndPoint(IPAddress.Loopback, 0), (IPEndPoint)listener.LocalEndPoint!, oneWay);
        return new RelayCost(Median(listener, (IPEndPoint)listener.LocalEndPoint!, bytes, rounds), Median(listener, relay.Address, bytes, rounds), oneWay);
    }

    private static double Median(Socket listener, IPEndPoint address, int bytes, int rounds)
    {
        using var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        client.Connect(address);
        using var server = listener.Accept();
        server.NoDelay = true;
        var answering = new Thread(() => Answer(server, bytes)) { IsBackground = true };
        answering.Start();
        var message = new byte[bytes];
        var times = new double[rounds];
        for (var round = -rounds / 10; round < rounds; round++)
        {
            var start = Stopwatch.GetTimestamp();
            client.Send(message);
            ReceiveAll(client, message);
            if (round >= 0)
                times[round] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }
        client.Shutdown(SocketShutdown.Both);
        answering.Join();
        Array.Sort(times);
        return times[rounds / 2];
    }

    private static void Answer(Socket server, int bytes)
    {
        var message = new byte[bytes];
        while (ReceiveAll(server, message))
            server.Send(message);
    }

    private static bool ReceiveAll(Socket socket, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var received = socket.Receive(bytes, SocketFlags.None, out var error);
            if (received == 0 || error != SocketError.Success)
                return false;
            bytes = bytes[received..];
        }
        return true;
    }
}
