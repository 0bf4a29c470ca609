using System.Diagnostics;
using Grok1Cluster.Grpc.Tests.Support;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Grpc.Tests.Interop;

/// <summary>A script of this folder in another language. Disposing ends the process, whatever it is doing.</summary>
public sealed class ScriptProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string> _errors;

    private ScriptProcess(ProcessStartInfo start)
    {
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        _process = Process.Start(start)!;
        _errors = _process.StandardError.ReadToEndAsync();
    }

    /// <summary>Runs a script in the system's Python.</summary>
    public static ScriptProcess Python(string script, params string[] arguments) =>
        new(new ProcessStartInfo(TestKit.Python.Executable, [PathOf(script), .. arguments]));

    /// <summary>Runs a script in Node.</summary>
    public static ScriptProcess Node(string script, params string[] arguments) =>
        new(new ProcessStartInfo("node", [PathOf(script), .. arguments]) { Environment = { ["NODE_PATH"] = NodeFactAttribute.Package.Modules } });

    /// <summary>The next line that the script prints.</summary>
    public async Task<string> ReadLineAsync()
    {
        var line = await _process.StandardOutput.ReadLineAsync().WaitAsync(TestServer.Patience);
        return line ?? throw new InvalidOperationException($"the script ended: {await _errors}");
    }

    /// <summary>Waits for the script to end, which it must do without an error.</summary>
    public async Task SucceedAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(TestServer.Patience * 2);
        Assert.True(_process.ExitCode == 0, await _errors);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private static string PathOf(string script) => Path.Combine(Repository.Root, "tests", "Grpc.Tests", "Interop", script);
}
