using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Operations;

public sealed class ApplyTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    [Fact]
    public async Task A_plan_that_is_none_or_another_models_is_the_callers_fault_and_says_what_is_wrong()
    {
        using var cluster = await Cluster.StartAsync("serve", "--model", "demo", "--workers", "1");
        await RefusedAsync(cluster, """{"epoch":1,"model":"demo","cuts":[0,"x"],"bundles":[]}""", "the plan is malformed: cuts[1] is a text, expected is a whole number");
        await RefusedAsync(cluster, """{"epoch":1,"model":"demo","cuts":[0,5],"bundles":[]}""", "the plan does not fit model demo: cuts have to go from 0 to FeedForwardDim");

        File.WriteAllText(_file, """{"epoch":1,"model":"demo","cuts":[0]}""");
        var url = cluster.Client.BaseAddress!.ToString();
        var apply = await Grok1Process.RunAsync("cluster", "apply", _file, "--url", url);
        Assert.Equal((3, "grok1: the plan is malformed: the whole lacks bundles\n"), (apply.ExitCode, apply.Error));
        var join = await Grok1Process.RunAsync("cluster", "join", "nonsense", "--url", url);
        Assert.Equal(2, join.ExitCode);
        Assert.StartsWith("grok1: 'nonsense' is no address", join.Error);
    }

    private static async Task RefusedAsync(Cluster cluster, string plan, string message)
    {
        using var response = await cluster.Client.PostAsync("/cluster/apply", new StringContent(plan, Encoding.UTF8, "application/json"));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var error = (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error");
        Assert.Equal("invalid_plan", error.GetProperty("code").GetString());
        Assert.StartsWith(message, error.GetProperty("message").GetString());
    }
}
