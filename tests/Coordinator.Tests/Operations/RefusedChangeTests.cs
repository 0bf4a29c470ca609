using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Operations;

public sealed class RefusedChangeTests(RefusedChangeTests.TwoWorkers twoWorkers) : IClassFixture<RefusedChangeTests.TwoWorkers>, IDisposable
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

        File.WriteAllText(_file, "# not a plan");
        var noJson = await Grok1Process.RunAsync("cluster", "apply", _file, "--url", url);
        Assert.Equal(3, noJson.ExitCode);
        Assert.StartsWith($"grok1: plan file {_file} is not JSON: ", noJson.Error);
    }

    [Theory]
    [InlineData("worker", "there is no worker worker-9; there are worker-0, worker-1", "drain", "worker-9")]
    [InlineData("to", "there is no worker worker-9; there are worker-0, worker-1", "move", "--layer", "0", "--from", "worker-0", "--to", "worker-9")]
    [InlineData("layer", "there is no layer 9; there are 0 to 3", "move", "--layer", "9", "--from", "worker-0", "--to", "worker-1")]
    [InlineData("bundle", "layer 0 has bundles 0 to 1, not 9", "move", "--layer", "0", "--bundle", "9", "--from", "worker-0", "--to", "worker-1")]
    public async Task What_does_not_exist_ends_with_2_and_says_what_there_is(string field, string message, params string[] change)
    {
        var cluster = twoWorkers.Cluster;
        var result = await Grok1Process.RunAsync(["cluster", .. change, "--url", cluster.Client.BaseAddress!.ToString()]);
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.EndsWith($"{message}\n", result.Error);

        object body = field == "worker" ? new { worker = "worker-9" }
            : new { layer = field == "layer" ? 9 : 0, bundle = field == "bundle" ? 9 : 0, from = "worker-0", to = field == "to" ? "worker-9" : "worker-1" };
        using var response = await cluster.Client.PostAsJsonAsync($"/cluster/{change[0]}", body);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(field, (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error").GetProperty("param").GetString());
    }

    public sealed class TwoWorkers : IAsyncLifetime
    {
        internal Cluster Cluster { get; private set; } = null!;

        public async Task InitializeAsync() => Cluster = await Cluster.StartAsync("serve", "--model", "demo", "--workers", "2", "--plan", "sliced");

        public Task DisposeAsync()
        {
            Cluster.Dispose();
            return Task.CompletedTask;
        }
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
