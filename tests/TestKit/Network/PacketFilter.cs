using System.ComponentModel;
using System.Diagnostics;

namespace Grok1Cluster.TestKit.Network;

/// <summary>Packets of a <see cref="LabHost"/> that are dropped for as long as this is not disposed. Needs Debian's nftables.</summary>
public sealed class PacketFilter : IDisposable
{
    /// <summary>Nothing gets in or out.</summary>
    public const string Blackhole = "type filter hook input priority 0; drop; }; chain out { type filter hook output priority 0; drop;";

    /// <summary>What the host sends is lost, what is sent to it arrives.</summary>
    public const string OneWay = "type filter hook output priority 0; drop;";

    /// <summary>Every other packet is lost, each way and by chance.</summary>
    public const string HalfLost = "type filter hook input priority 0; numgen random mod 100 < 50 drop; }; chain out { type filter hook output priority 0; numgen random mod 100 < 50 drop;";

    private readonly LabHost _host;

    private PacketFilter(LabHost host) => _host = host;

    /// <summary>Why packets cannot be filtered here; null if they can.</summary>
    public static Lazy<string?> Missing { get; } = new(Try);

    /// <param name="host">Whose packets.</param>
    /// <param name="rules">One of the constants: the chains of a table, without the outermost braces.</param>
    /// <exception cref="InvalidOperationException">The system refuses; the message has its reason.</exception>
    public static PacketFilter Apply(LabHost host, string rules)
    {
        Run(host, $"add table inet faults {{ chain in {{ {rules} }}; }}");
        return new PacketFilter(host);
    }

    public void Dispose() => Run(_host, "delete table inet faults");

    private static void Run(LabHost host, string command)
    {
        var start = host.Start("nft", command);
        start.RedirectStandardError = true;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"nft {command}: {error.Trim()}");
    }

    private static string? Try()
    {
        if (NetworkLab.Missing.Value is { } missing)
            return missing;
        try
        {
            using var lab = new NetworkLab(1, null);
            using (Apply(lab.Hosts[0], HalfLost))
                return null;
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception)
        {
            return $"needs nft with its random numbers (Debian: apt-get install nftables): {e.Message}";
        }
    }
}

/// <summary>A fact that drops packets; skipped, with a line that says so, where that cannot be done.</summary>
public sealed class PacketFilterFactAttribute : Xunit.FactAttribute
{
    public PacketFilterFactAttribute() => Skip = PacketFilter.Missing.Value;
}
