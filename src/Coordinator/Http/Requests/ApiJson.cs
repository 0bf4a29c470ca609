using System.Text.Encodings.Web;
using System.Text.Json;

namespace Grok1Cluster.Coordinator.Http.Requests;

/// <summary>JSON as OpenAI's API has it: snake_case, text readable.</summary>
internal static class ApiJson
{
    public static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        MaxDepth = 16,
    };
}
