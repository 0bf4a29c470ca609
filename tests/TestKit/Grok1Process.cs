using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace Grok1Cluster.TestKit;

/// <summary>What a finished process left.</summary>
public sealed record Grok1Result(int ExitCode, string Output, string Error);

/// <summary>
/// A process of the built grok1 (or of another program), with its output captured. Whatever happens in the test,
/// disposing ends the process and every process that it started.
/// </summary>
public sealed class Grok1Process : IDisposable
{
    /// <summary>After this a process counts as hung.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly LineCapture _output = new();
    private readonly LineCapture _error = new();

    private Grok1Process(ProcessStartInfo start)
    {
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, line) => _output.Add(line.Data);
        _process.ErrorDataReceived += (_, line) => _error.Add(line.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>The executable that was built in the configuration of the running tests; a benchmark may take another.</summary>
    public static string ExecutablePath { get; set; } =
        Path.Combine(Repository.Root, "src", "Cli", "bin", Configuration(), "net10.0", OperatingSystem.IsWindows() ? "grok1.exe" : "grok1");

    public int Id => _process.Id;

    /// <summary>Processor time of all its threads, in user and system mode.</summary>
    public TimeSpan ProcessorTime => _process.TotalProcessorTime;

    /// <summary>What it wrote to stdout so far.</summary>
    public string Output => _output.Text;

    /// <summary>What it wrote to stderr so far.</summary>
    public string Error => _error.Text;

    /// <summary>Starts grok1.</summary>
    public static Grok1Process Start(params string[] arguments) => Start(new ProcessStartInfo(ExecutablePath, arguments));

    /// <summary>Starts any program, for example grok1 with other variables or in another folder.</summary>
    public static Grok1Process Start(ProcessStartInfo start)
    {
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        return new Grok1Process(start);
    }

    /// <summary>Runs grok1 to its end, with an empty stdin.</summary>
    public static Task<Grok1Result> RunAsync(params string[] arguments) => RunAsync(new ProcessStartInfo(ExecutablePath, arguments));

    /// <summary>Runs any program to its end.</summary>
    /// <param name="input">All of its stdin.</param>
    /// <exception cref="TimeoutException">It did not end in time and was killed; the message has what it wrote.</exception>
    public static async Task<Grok1Result> RunAsync(ProcessStartInfo start, string input = "", TimeSpan? timeout = null)
    {
        using var process = Start(start);
        await process.WriteInputAsync(input);
        return await process.WaitForExitAsync(timeout);
    }

    /// <summary>Writes all of stdin and closes it. A process that ends without reading it is no error.</summary>
    public async Task WriteInputAsync(string input)
    {
        try
        {
            await _process.StandardInput.WriteAsync(input);
            _process.StandardInput.Close();
        }
        catch (IOException) { }
    }

    /// <summary>Waits for the end of the process and of its output.</summary>
    /// <inheritdoc cref="RunAsync(ProcessStartInfo, string, TimeSpan?)" path="/exception"/>
    public async Task<Grok1Result> WaitForExitAsync(TimeSpan? timeout = null)
    {
        using var limit = new CancellationTokenSource(timeout ?? DefaultTimeout);
        try
        {
            await _process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            Kill();
            throw new TimeoutException($"{Describe()} did not end in time\n{Output}\n{Error}");
        }
        return new Grok1Result(_process.ExitCode, Output, Error);
    }

    /// <summary>Waits for a line on stdout and returns it.</summary>
    public Task<string> WaitForOutputLineAsync(Func<string, bool> wanted, TimeSpan? timeout = null) => WaitForLineAsync(_output, wanted, timeout);

    /// <summary>Waits for a line on stderr and returns it.</summary>
    public Task<string> WaitForErrorLineAsync(Func<string, bool> wanted, TimeSpan? timeout = null) => WaitForLineAsync(_error, wanted, timeout);

    /// <summary>Sends a signal to the process alone, not to those it started.</summary>
    public void Signal(PosixSignal signal)
    {
        var number = signal switch
        {
            PosixSignal.SIGINT => 2,
            PosixSignal.SIGTERM => 15,
            _ => throw new ArgumentOutOfRangeException(nameof(signal), signal, "only SIGINT and SIGTERM have the same number everywhere"),
        };
        if (NativeMethods.Kill(Id, number) != 0)
            throw new InvalidOperationException($"{Describe()} cannot be signalled: it is gone");
    }

    /// <summary>Kills the process and every process that it started.</summary>
    public void Kill() => _process.Kill(entireProcessTree: true);

    public void Dispose()
    {
        if (!_process.HasExited)
            Kill();
        _process.Dispose();
    }

    private async Task<string> WaitForLineAsync(LineCapture capture, Func<string, bool> wanted, TimeSpan? timeout)
    {
        try
        {
            return await capture.WaitForAsync(wanted).WaitAsync(timeout ?? DefaultTimeout);
        }
        catch (Exception e) when (e is TimeoutException or EndOfStreamException)
        {
            throw new TimeoutException($"{Describe()} did not write the expected line\n{Output}\n{Error}", e);
        }
    }

    private string Describe() => $"{Path.GetFileName(_process.StartInfo.FileName)} {string.Join(' ', _process.StartInfo.ArgumentList)}";

    /// <summary>Test assemblies lie in <c>bin/CONFIGURATION/net10.0</c>.</summary>
    private static string Configuration() => new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;

    /// <summary>Lines of one stream, to look at and to wait for.</summary>
    private sealed class LineCapture
    {
        private readonly Lock _lock = new();
        private readonly List<string> _lines = [];
        private TaskCompletionSource _changed = NewSource();
        private bool _ended;

        public string Text
        {
            get
            {
                lock (_lock)
                    return _lines.Aggregate(new StringBuilder(), (text, line) => text.Append(line).Append('\n')).ToString();
            }
        }

        /// <param name="line">Null at the end of the stream.</param>
        public void Add(string? line)
        {
            lock (_lock)
            {
                if (line is null)
                    _ended = true;
                else
                    _lines.Add(line);
                _changed.SetResult();
                _changed = NewSource();
            }
        }

        public async Task<string> WaitForAsync(Func<string, bool> wanted)
        {
            for (var next = 0; ;)
            {
                Task change;
                lock (_lock)
                {
                    for (; next < _lines.Count; next++)
                        if (wanted(_lines[next]))
                            return _lines[next];
                    if (_ended)
                        throw new EndOfStreamException();
                    change = _changed.Task;
                }
                await change;
            }
        }

        private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private static class NativeMethods
    {
        [DllImport("libc", EntryPoint = "kill")]
        public static extern int Kill(int pid, int signal);
    }
}
