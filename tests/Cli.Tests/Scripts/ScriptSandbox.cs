using System.Diagnostics;
using System.Runtime.Versioning;
using Grok1Cluster.TestKit;

// The scripts are bash.
[assembly: UnsupportedOSPlatform("windows")]

namespace Grok1Cluster.Cli.Tests.Scripts;

/// <summary>A checkout with one of the repository's scripts in it, where other programs are stood in for by small scripts.</summary>
internal sealed class ScriptSandbox : IDisposable
{
    private readonly string _script;

    /// <param name="script">Path of the script under test, from the repository's root.</param>
    public ScriptSandbox(string script)
    {
        _script = script;
        Folder = Directory.CreateTempSubdirectory("grok1-script-").FullName;
        File.Copy(Path.Combine(Repository.Root, script), Path.Combine(Folder, script));
    }

    public string Folder { get; }

    /// <summary>Puts a program in front of the real one of that name. It runs in the sandbox with <c>$SANDBOX</c> set.</summary>
    public void StandIn(string program, string body) => WriteExecutable(Path.Combine("bin", program), body);

    public void WriteExecutable(string path, string body)
    {
        WriteFile(path, $"#!/usr/bin/env bash\n{body}\n");
        File.SetUnixFileMode(Path.Combine(Folder, path), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public void WriteFile(string path, string text)
    {
        var full = Path.Combine(Folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }

    /// <summary>How to start the script, by another path and from another folder if wanted.</summary>
    public ProcessStartInfo Command(string[] arguments, string? path = null) => new(path ?? Path.Combine(Folder, _script), arguments)
    {
        WorkingDirectory = Path.GetTempPath(),
        Environment = { ["SANDBOX"] = Folder, ["PATH"] = $"{Folder}/bin:{Environment.GetEnvironmentVariable("PATH")}" },
    };

    public Task<Grok1Result> RunAsync(params string[] arguments) => Grok1Process.RunAsync(Command(arguments));

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
