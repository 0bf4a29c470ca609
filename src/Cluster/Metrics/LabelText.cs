using System.Globalization;
using System.Text;

namespace Grok1Cluster.Cluster.Metrics;

/// <summary>Labels as Prometheus writes them: <c>worker="worker-0",phase="send"</c>.</summary>
internal static class LabelText
{
    public static string Of(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var text = new StringBuilder();
        foreach (var (key, value) in tags)
        {
            text.Append(text.Length > 0 ? "," : "").Append(key).Append("=\"");
            foreach (var c in Convert.ToString(value, CultureInfo.InvariantCulture) ?? "")
                text.Append(c switch { '\\' => @"\\", '"' => "\\\"", '\n' => @"\n", _ => c.ToString() });
            text.Append('"');
        }
        return text.ToString();
    }
}
