using System.Diagnostics;
using Grok1Cluster.Grpc.Tests.Support;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Grpc.Tests.Interop;

/// <summary>A script of this folder in the system's Python. Disposing ends the process, whatever it is doing.</summary>
public sealed class PythonProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string> _errors;

    public PythonProcess(string script, params string[] arguments)
    {
        var path = Path.Combine(Repository.Root, "tests", "Grpc.Tests", "Interop", script);
        _process = Process.Start(new ProcessStartInfo(Python.Executable, [path, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        _errors = _process.StandardError.ReadToEndAsync();
    }

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
}
