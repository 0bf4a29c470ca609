using System.Text.Json;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;
using Grok1Cluster.Coordinator.Http.OpenAi.Completions;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Coordinator.Http.Tokens;
using Grok1Cluster.Coordinator.Tests.Support;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Description;

public class DescriptionTests(SharedServer shared) : IClassFixture<SharedServer>
{
    private static readonly IReadOnlyDictionary<string, IReadOnlyList<ApiField>> Tables = new Dictionary<string, IReadOnlyList<ApiField>>
    {
        ["/v1/completions"] = CompletionRequest.Known, ["/v1/chat/completions"] = ChatRequest.Known, ["/tokenize"] = TokenRoutes.TokenizeFields, ["/detokenize"] = TokenRoutes.DetokenizeFields,
    };

    [Fact]
    public async Task Openapi_describes_every_field_that_is_taken_and_every_path_answers()
    {
        var document = JsonElement.Parse(await shared.Server.Client.GetStringAsync("/openapi.json"));
        Assert.StartsWith("3.1", document.GetProperty("openapi").GetString());
        foreach (var (path, table) in Tables)
        {
            var properties = document.GetProperty("paths").GetProperty(path).GetProperty("post").GetProperty("requestBody").GetProperty("content").GetProperty("application/json").GetProperty("schema").GetProperty("properties");
            Assert.Equal(table.Where(field => field.Use != FieldUse.Refused).Select(field => field.Name), properties.EnumerateObject().Select(property => property.Name));
        }
        foreach (var path in document.GetProperty("paths").EnumerateObject())
        {
            using var request = new HttpRequestMessage(path.Value.TryGetProperty("get", out _) ? HttpMethod.Get : HttpMethod.Post, path.Name.Replace("{id}", "demo", StringComparison.Ordinal));
            using var response = await shared.Server.Client.SendAsync(request);
            var text = await response.Content.ReadAsStringAsync();
            Assert.DoesNotContain("unknown_url", text);
            Assert.DoesNotContain("method_not_allowed", text);
        }
    }

    [Fact]
    public void The_documentation_lists_every_field_under_what_is_done_with_it()
    {
        var sections = File.ReadAllText(Path.Combine(Repository.Root, "docs", "api.md")).Split("\n### ").ToDictionary(section => section.Split('\n')[0].Trim(), section => section);
        var headings = new Dictionary<FieldUse, string> { [FieldUse.Supported] = "Supported", [FieldUse.Neutral] = "Neutral", [FieldUse.Bookkeeping] = "Bookkeeping", [FieldUse.Refused] = "Refused" };
        var missing = Tables.Values.SelectMany(table => table).Distinct().Where(field => !sections[headings[field.Use]].Contains($"`{field.Name}`", StringComparison.Ordinal)).Select(field => $"{field.Name}: {field.Use}");
        Assert.Empty(missing);
    }
}
