using System.ComponentModel;
using System.Diagnostics;

namespace Grok1Cluster.TestKit;

/// <summary>A package of npm's, in a folder of the system's temporary files that later runs find again.</summary>
public sealed class NodePackage
{
    private static readonly TimeSpan InstallTimeout = TimeSpan.FromMinutes(2);

    private readonly string _name;
    private readonly string _version;

    /// <param name="name">As npm knows it.</param>
    /// <param name="version">Exactly.</param>
    public NodePackage(string name, string version)
    {
        (_name, _version) = (name, version);
        Modules = Path.Combine(Path.GetTempPath(), $"grok1cluster-{name[(name.LastIndexOf('/') + 1)..]}-{version}", "node_modules");
        Missing = new Lazy<string?>(Install);
    }

    /// <summary>Where the package is, for NODE_PATH.</summary>
    public string Modules { get; }

    /// <summary>Why there is no package; null if there is. Installs it on first use.</summary>
    public Lazy<string?> Missing { get; }

    private string? Install()
    {
        if (!Runs("node", "--version"))
            return "needs node (Debian: apt-get install nodejs npm)";
        if (File.Exists(Path.Combine(Modules, _name, "package.json")))
            return null;
        var folder = Path.GetDirectoryName(Modules)!;
        Directory.CreateDirectory(folder);
        return Runs("npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", $"{_name}@{_version}")
            ? null : $"needs npm and a registry that serves {_name}@{_version}";
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
