using System.ComponentModel;
using System.Diagnostics;

namespace Grok1Cluster.Grpc.Tests.Interop;

/// <summary>A fact that runs npm's @grpc/grpc-js; skipped, with a line that says so, where node, npm or the package is missing.</summary>
public sealed class NodeFactAttribute : FactAttribute
{
    public NodeFactAttribute()
    {
        if (Node.Missing.Value is { } reason)
            Skip = reason;
    }
}

/// <summary>Node, with the package in a folder of the system's temporary files that later runs find again.</summary>
internal static class Node
{
    private const string Package = "@grpc/grpc-js", Version = "1.14.7";

    private static readonly TimeSpan InstallTimeout = TimeSpan.FromMinutes(2);

    /// <summary>Where the package is, for NODE_PATH.</summary>
    public static string Modules { get; } = Path.Combine(Path.GetTempPath(), $"grok1cluster-grpc-js-{Version}", "node_modules");

    /// <summary>Why there is no package; null if there is.</summary>
    public static Lazy<string?> Missing { get; } = new(Install);

    private static string? Install()
    {
        if (!Runs("node", "--version"))
            return "needs node (Debian: apt-get install nodejs npm)";
        if (File.Exists(Path.Combine(Modules, Package, "package.json")))
            return null;
        var folder = Path.GetDirectoryName(Modules)!;
        Directory.CreateDirectory(folder);
        return Runs("npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", $"{Package}@{Version}")
            ? null : $"needs npm and a registry that serves {Package}@{Version}";
    }

    private static bool Runs(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            process.OutputDataReceived += static (_, _) => { };
            process.ErrorDataReceived += static (_, _) => { };
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            if (process.WaitForExit(InstallTimeout))
                return process.ExitCode == 0;
            process.Kill(entireProcessTree: true);
            return false;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
