using System.Diagnostics;
using Xunit;

namespace Grok1Cluster.TestKit;

/// <summary>A fact that reads reference data beside the checkout; skipped, with a line that says so, where it is absent.</summary>
public sealed class SharedFactAttribute : FactAttribute
{
    /// <param name="path">Path below the shared folder, for example <c>tokenizer/grok-1/vectors.jsonl</c>.</param>
    public SharedFactAttribute(string path)
    {
        var full = Path.Combine(Repository.Shared, path);
        if (!File.Exists(full) && !Directory.Exists(full))
            Skip = $"needs {full}, which a bare clone does not have";
    }
}

/// <summary>A fact that needs a Python module of the system's python3; skipped, with a line that says so, where it is missing.</summary>
public sealed class PythonFactAttribute : FactAttribute
{
    /// <param name="module">A module to import, for example <c>grpc</c>.</param>
    /// <param name="package">The Debian package that brings it, named in the skip message.</param>
    public PythonFactAttribute(string module, string package)
    {
        if (!Python.HasModule(module))
            Skip = $"needs python3 with the module {module} (Debian: apt-get install {package})";
    }
}

/// <summary>A fact about something that only Linux has.</summary>
public sealed class LinuxFactAttribute : FactAttribute
{
    public LinuxFactAttribute()
    {
        if (!OperatingSystem.IsLinux())
            Skip = "needs Linux";
    }
}

/// <summary>A fact that runs another program; skipped, with a line that says so, where it is missing.</summary>
public sealed class ProgramFactAttribute : FactAttribute
{
    /// <param name="program">Looked for in PATH, for example <c>promtool</c>.</param>
    /// <param name="package">The Debian package that brings it, named in the skip message.</param>
    public ProgramFactAttribute(string program, string package)
    {
        if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program))))
            Skip = $"needs {program} (Debian: apt-get install {package})";
    }
}

/// <summary>The system's python3, in which tests run other people's implementations.</summary>
public static class Python
{
    /// <summary>Debian's interpreter, whose packages test.sh can install.</summary>
    public const string Executable = "/usr/bin/python3";

    private static readonly Dictionary<string, bool> Known = [];

    /// <summary>Whether <paramref name="module"/> can be imported.</summary>
    public static bool HasModule(string module)
    {
        lock (Known)
        {
            if (!Known.TryGetValue(module, out var has))
                Known[module] = has = File.Exists(Executable) && TryImport(module);
            return has;
        }
    }

    private static bool TryImport(string module)
    {
        using var process = Process.Start(new ProcessStartInfo(Executable, ["-c", $"import {module}"]) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
