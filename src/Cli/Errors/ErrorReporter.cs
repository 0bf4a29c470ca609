namespace Grok1Cluster.Cli.Errors;

/// <summary>Tells a person what went wrong, in one line.</summary>
internal static class ErrorReporter
{
    /// <summary>Set to 1 to see stack traces.</summary>
    public const string DebugVariable = "GROK1_DEBUG";

    /// <returns>The exit code.</returns>
    public static int Report(Exception exception, TextWriter error, CancellationToken interrupted)
    {
        if (exception is OperationCanceledException && interrupted.IsCancellationRequested)
        {
            error.WriteLine("grok1: interrupted");
            return ExitCodes.Interrupted;
        }
        var code = ExitCodes.Of(exception);
        error.WriteLine($"grok1: {OneLine(Describe(exception, code))}");
        if (Environment.GetEnvironmentVariable(DebugVariable) == "1")
            error.WriteLine(exception);
        return code;
    }

    private static string Describe(Exception exception, int code) => code == ExitCodes.RuntimeFault && exception is not ClusterChangeException
        ? $"{exception.GetType().Name}: {exception.Message} ({DebugVariable}=1 shows where)"
        : exception.Message;

    /// <summary>Messages quote file names and file contents: no line break or terminal control sequence of theirs gets through.</summary>
    private static string OneLine(string text) => string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c));
}
