using System.ComponentModel;
using System.Diagnostics;
using System.Net;
using Xunit;

namespace Grok1Cluster.TestKit.Network;

/// <summary>
/// Hosts of their own on this machine: network namespaces, each with one link to where the test runs. Hosts do not reach each
/// other; what connects them is a relay of the test. Needs Linux, root, and Debian's iproute2.
/// </summary>
public sealed class NetworkLab : IDisposable
{
    /// <summary>Hosts whose addresses fit beside each other; a later lab takes the next ones, as the system takes its time to end the last.</summary>
    private const int MostHosts = 63;

    private static int _made;

    private readonly List<LabHost> _hosts = [];

    /// <param name="hosts">How many, at most 63.</param>
    /// <param name="rate">Of each link, each way, as <c>tc</c> writes it: <c>1gbit</c>; null for as fast as it goes.</param>
    /// <param name="routed">Whether the hosts reach each other, and not only where the test runs.</param>
    /// <exception cref="InvalidOperationException">The system refuses; the message has its reason.</exception>
    public NetworkLab(int hosts, string? rate, bool routed = false)
    {
        try
        {
            for (var i = 0; i < hosts; i++)
                _hosts.Add(Create(Interlocked.Increment(ref _made) % MostHosts, rate));
            if (routed)
                _hosts.ForEach(Route);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public IReadOnlyList<LabHost> Hosts => _hosts;

    /// <summary>Why there can be no lab here; null if there can.</summary>
    public static Lazy<string?> Missing { get; } = new(Try);

    public void Dispose()
    {
        foreach (var host in _hosts)
        {
            // The other end goes with this one. A namespace goes later, so its link would still be there for a while.
            Ip($"link delete {host.Link}");
            Ip($"netns delete {host.Namespace}");
        }
        _hosts.Clear();
    }

    private static LabHost Create(int index, string? rate)
    {
        var id = Environment.ProcessId;
        // RFC 2544 sets this range aside for benchmarks.
        var (network, name) = ($"198.18.{id % 256}", $"grok1-{id}-{index}");
        var (outer, inner) = ($"g{id}r{index}", $"g{id}h{index}");
        var host = new LabHost(name, outer, IPAddress.Parse($"{network}.{4 * index + 2}"), IPAddress.Parse($"{network}.{4 * index + 1}"));
        Ip($"netns add {name}");
        try
        {
            Ip($"link add {outer} type veth peer name {inner} netns {name}");
            Ip($"addr add {host.Gateway}/30 dev {outer}");
            Ip($"link set {outer} up");
            Ip($"-n {name} addr add {host.Address}/30 dev {inner}");
            Ip($"-n {name} link set {inner} up");
            Ip($"-n {name} link set lo up");
            if (rate is not null)
            {
                // The bucket holds some milliseconds of a fast link, the queue as much again as a switch's.
                var shape = $"tbf rate {rate} burst 512kb latency 50ms";
                Run("tc", $"qdisc add dev {outer} root {shape}");
                Run("tc", $"-n {name} qdisc add dev {inner} root {shape}");
            }
            return host;
        }
        catch
        {
            Ip($"netns delete {name}");
            throw;
        }
    }

    private static void Route(LabHost host)
    {
        Ip($"-n {host.Namespace} route add default via {host.Gateway}");
        // Of what comes from this host alone.
        File.WriteAllText($"/proc/sys/net/ipv4/conf/{host.Link}/forwarding", "1");
    }

    private static string? Try()
    {
        if (!OperatingSystem.IsLinux())
            return "needs network namespaces, which only Linux has";
        try
        {
            using var lab = new NetworkLab(1, "1gbit");
            return null;
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception)
        {
            return $"needs network namespaces (root, and Debian's iproute2): {e.Message}";
        }
    }

    private static void Ip(string arguments) => Run("ip", arguments);

    private static void Run(string program, string arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program} {arguments}: {error.Trim()}");
    }
}

/// <summary>A host of a <see cref="NetworkLab"/>.</summary>
/// <param name="Namespace">Its network namespace.</param>
/// <param name="Link">The device where the test runs that leads to it.</param>
/// <param name="Address">Its own address.</param>
/// <param name="Gateway">The other end of its link, where the test listens.</param>
public sealed record LabHost(string Namespace, string Link, IPAddress Address, IPAddress Gateway)
{
    /// <summary>How a program is started on this host.</summary>
    public ProcessStartInfo Start(string program, params IEnumerable<string> arguments) =>
        new("nsenter", [$"--net=/run/netns/{Namespace}", "--", program, .. arguments]);
}

/// <summary>A fact that needs network namespaces; skipped, with a line that says so, where the system does not permit them.</summary>
public sealed class NamespaceFactAttribute : FactAttribute
{
    public NamespaceFactAttribute() => Skip = NetworkLab.Missing.Value;
}

/// <summary>A theory that needs network namespaces; skipped likewise.</summary>
public sealed class NamespaceTheoryAttribute : TheoryAttribute
{
    public NamespaceTheoryAttribute() => Skip = NetworkLab.Missing.Value;
}
