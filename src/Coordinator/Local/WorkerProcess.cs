using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Grok1Cluster.Model;

namespace Grok1Cluster.Coordinator.Local;

/// <summary>What a supervised worker prints, on one line, when it is ready.</summary>
/// <param name="Id">Its id in the plan.</param>
/// <param name="Pid">Its process.</param>
/// <param name="Address">Where it listens.</param>
/// <param name="Tiles">Tiles held.</param>
/// <param name="Bytes">Their bytes.</param>
public sealed record WorkerReady(string Id, int Pid, string Address, int Tiles, long Bytes);

/// <summary>What a supervised worker prints while it loads.</summary>
/// <param name="Loaded">Bytes that came into memory since the line before.</param>
public sealed record WorkerLoaded(long Loaded);

/// <summary>
/// A worker process on this machine, child of this one. The child watches its standard input and ends when that closes, so
/// it does not outlive this process however that ends.
/// </summary>
public sealed class WorkerProcess : IAsyncDisposable
{
    private static readonly TimeSpan StopTime = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan SignalTime = TimeSpan.FromMilliseconds(500);
    private const int KeptErrorLines = 20;
    private const string LoadedPrefix = "{\"loaded\":";

    private readonly Process _process;
    private readonly ConcurrentQueue<string> _errors = new();

    private WorkerProcess(Process process, Action<string> onError)
    {
        _process = process;
        process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is null)
                return;
            _errors.Enqueue(line.Data);
            if (_errors.Count > KeptErrorLines)
                _errors.TryDequeue(out string? _);
            onError(line.Data);
        };
        process.BeginErrorReadLine();
    }

    /// <summary>Ends with the process, whoever ended it, and has its exit code.</summary>
    public async Task<int> WaitForEndAsync(CancellationToken cancel)
    {
        await _process.WaitForExitAsync(cancel);
        return _process.ExitCode;
    }

    /// <summary>What it printed when it was ready.</summary>
    public WorkerReady Ready { get; private set; } = null!;

    /// <summary>Starts a worker and waits until it is ready.</summary>
    /// <param name="program">Executable and first arguments.</param>
    /// <param name="arguments">The worker's flags.</param>
    /// <param name="onError">Told of each line on its standard error.</param>
    /// <param name="loaded">Told of bytes that it has brought into memory.</param>
    /// <param name="cancel">Ends it.</param>
    /// <exception cref="ModelException">It ended with exit code 3.</exception>
    /// <exception cref="ResourceException">It ended with exit code 4.</exception>
    /// <exception cref="IOException">It ended otherwise.</exception>
    /// <exception cref="OperationCanceledException">Given up.</exception>
    public static async Task<WorkerProcess> StartAsync(IReadOnlyList<string> program, IEnumerable<string> arguments, Action<string> onError, Action<long>? loaded, CancellationToken cancel)
    {
        var start = new ProcessStartInfo(program[0], program.Skip(1).Concat(arguments))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        var worker = new WorkerProcess(Process.Start(start) ?? throw new IOException($"{program[0]} did not start"), onError);
        try
        {
            var told = 0L;
            while (await worker._process.StandardOutput.ReadLineAsync(cancel) is { } line)
            {
                if (!line.StartsWith(LoadedPrefix, StringComparison.Ordinal))
                {
                    worker.Ready = JsonSerializer.Deserialize<WorkerReady>(line, JsonSerializerOptions.Web)!;
                    loaded?.Invoke(worker.Ready.Bytes - told);
                    return worker;
                }
                var bytes = JsonSerializer.Deserialize<WorkerLoaded>(line, JsonSerializerOptions.Web)!.Loaded;
                told += bytes;
                loaded?.Invoke(bytes);
            }
            throw await worker.ExplainEndAsync(cancel);
        }
        catch
        {
            await worker.DisposeAsync();
            throw;
        }
    }

    /// <summary>Asks it to end, waits, and kills it when it does not.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.StandardInput.Close();
            using var limit = new CancellationTokenSource(StopTime);
            await _process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync(CancellationToken.None);
        }
        catch (IOException)
        {
            // Its end of the pipe is closed: it has ended.
            await _process.WaitForExitAsync(CancellationToken.None);
        }
        // The process object leaves the pipes that were asked for open, for the finalizer.
        _process.StandardOutput.Dispose();
        _process.Dispose();
    }

    private async Task<Exception> ExplainEndAsync(CancellationToken cancel)
    {
        await _process.WaitForExitAsync(CancellationToken.None);
        // A Ctrl-C is for every process of the terminal: the worker may have ended by it before this process has taken note.
        if (_process.ExitCode is 0 or 128 + 2 or 128 + 15)
            await Task.Delay(SignalTime, cancel);
        var said = _errors.LastOrDefault(line => line.Length > 0) ?? "it printed nothing";
        var message = $"a worker ended at its start with exit code {_process.ExitCode}: {said}";
        return _process.ExitCode switch
        {
            3 => new ModelException(message),
            4 => new ResourceException(message),
            _ => new IOException(message),
        };
    }
}
