using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Grok1Cluster.Coordinator.Logging;

/// <summary>How log lines are written.</summary>
public enum LogFormat
{
    /// <summary>What a person needs: the messages about the cluster.</summary>
    Text,

    /// <summary>One JSON object a line, requests included.</summary>
    Json,
}

/// <summary>Writes each log entry as one line, at once, and keeps those about the cluster for the dashboard.</summary>
public sealed class LineLoggerProvider(LogFormat format, TextWriter output, EventLog events, TimeProvider time) : ILoggerProvider
{
    public ILogger CreateLogger(string categoryName) => new LineLogger(this, categoryName);

    public void Dispose()
    {
    }

    private void Write<T>(string category, LogLevel level, EventId id, T state, string message)
    {
        var now = time.GetUtcNow();
        if (category == CoordinatorLog.ClusterCategory)
            events.Add(new ClusterEvent(now, level.ToString().ToLowerInvariant(), message));
        if (format == LogFormat.Json)
            output.WriteLine(LogJson.Write(now, category, level, id, state, message));
        else if (category == CoordinatorLog.ClusterCategory)
            output.WriteLine(message);
    }

    private sealed class LineLogger(LineLoggerProvider owner, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => category == CoordinatorLog.ClusterCategory || owner.Reads(category);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                owner.Write(category, logLevel, eventId, state, formatter(state, exception));
        }
    }

    private bool Reads(string category) => format == LogFormat.Json && category == CoordinatorLog.RequestCategory;
}

/// <summary>A log entry as JSON: time, level, category, event, message, then the entry's own values in snake_case.</summary>
internal static class LogJson
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Write<T>(DateTimeOffset time, string category, LogLevel level, EventId id, T state, string message)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, Options))
        {
            json.WriteStartObject();
            json.WriteString("time", time.UtcDateTime);
            json.WriteString("level", level.ToString().ToLowerInvariant());
            json.WriteString("category", category);
            json.WriteString("event", id.Name);
            json.WriteNumber("event_id", id.Id);
            json.WriteString("message", message);
            if (state is IReadOnlyList<KeyValuePair<string, object?>> values)
                foreach (var (name, value) in values)
                    if (name != "{OriginalFormat}" && name != "Text")
                        WriteValue(json, JsonNamingPolicy.SnakeCaseLower.ConvertName(name), value);
            json.WriteEndObject();
        }
        return System.Text.Encoding.UTF8.GetString(buffer.ToArray());
    }

    private static void WriteValue(Utf8JsonWriter json, string name, object? value)
    {
        switch (value)
        {
            case int number: json.WriteNumber(name, number); break;
            case long number: json.WriteNumber(name, number); break;
            case double number: json.WriteNumber(name, number); break;
            case Enum choice: json.WriteString(name, choice.ToString().ToLowerInvariant()); break;
            default: json.WriteString(name, value?.ToString()); break;
        }
    }
}
