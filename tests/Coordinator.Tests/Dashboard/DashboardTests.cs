using System.Net;
using System.Net.Http.Json;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Dashboard;

/// <summary>
/// The dashboard in a real browser, over a real cluster. With GROK1_SCREENSHOTS=1 the pages are written to docs/images.
/// </summary>
public sealed class DashboardTests
{
    private const int Workers = 3;
    private static readonly bool WritesImages = Environment.GetEnvironmentVariable("GROK1_SCREENSHOTS") == "1";

    [ProgramFact("chromium", "chromium")]
    public async Task Every_page_shows_the_running_cluster_and_asks_nobody_else()
    {
        using var cluster = await Cluster.StartAsync("up", "--model", "demo", "--workers", $"{Workers}");
        await using var browser = await Browser.StartAsync(1360, 860);
        await browser.SetSchemeAsync("light");
        await browser.OpenAsync(cluster.Client.BaseAddress!);
        await browser.WaitForAsync("document.querySelector('#phase').textContent === 'ready'");
        var refused = await CompleteInPlaygroundAsync(cluster, browser);
        var load = Task.WhenAll(Enumerable.Range(0, 4).Select(i => cluster.CompleteAsync(new { prompt = $"In the year {1900 + i} ", max_tokens = 100, ignore_eos = true })));

        await ShowAsync(browser, "overview", $"document.querySelector('#page-overview').innerText.includes('{Workers} of {Workers} workers ready')");
        Assert.Contains("serving demo", await browser.EvaluateAsync("document.querySelector('.events').innerText"));
        await ShowAsync(browser, "workers", $"document.querySelectorAll('tr[data-worker]').length === {Workers} && !document.querySelector('#page-workers').innerText.includes('not known')");
        await ShowAsync(browser, "experts", "document.querySelectorAll('#heatmap [data-ratio]').length === 4 * 8");
        // The mean of a layer's shares over the fair share is 1.
        Assert.Equal("8.0", await browser.EvaluateAsync("[...document.querySelectorAll('#heatmap g:nth-of-type(1) [data-ratio]')].reduce((sum, cell) => sum + Number(cell.dataset.ratio), 0).toFixed(1)"));
        await ShowAsync(browser, "placement", $"document.querySelectorAll('#placement g').length === 4 * 8 && document.querySelectorAll('#placement rect').length === 4 * 8 * {Workers}");
        await ShowAsync(browser, "token", "document.querySelectorAll('#waterfall [data-layer]').length === 4");
        Assert.Equal("4", await browser.EvaluateAsync("document.querySelectorAll('#waterfall [data-straggler]').length"));
        Assert.Contains("which cost", await browser.EvaluateAsync("document.querySelector('#tally').innerText"));

        await load;
        await browser.SetSchemeAsync("dark");
        await browser.WaitForAsync("document.documentElement.dataset.theme === 'dark'");
        await ShowAsync(browser, "overview", "document.querySelector('.value')", "overview-dark");
        await ShowAsync(browser, "experts", "document.querySelector('#heatmap')", "experts-dark");
        // The browser reports the requests whose optional fields the server did not know.
        Assert.Equal(refused, browser.Problems.Count);
    }

    [ProgramFact("chromium", "chromium")]
    public async Task A_killed_worker_is_shown_as_lost_with_the_tiles_that_are_missing()
    {
        using var cluster = await Cluster.StartAsync("up", "--model", "demo", "--workers", "2");
        await using var browser = await Browser.StartAsync(1360, 860);
        await browser.OpenAsync(new Uri(cluster.Client.BaseAddress!, "#placement"));
        await browser.WaitForAsync("document.querySelectorAll('#placement g').length === 32 && document.querySelectorAll('#placement .mark').length === 0");
        var status = await cluster.WaitForStatusAsync(status => status.GetProperty("workers").GetArrayLength() == 2);
        using (var worker = System.Diagnostics.Process.GetProcessById(status.GetProperty("workers")[1].GetProperty("pid").GetInt32()))
            worker.Kill();
        await browser.WaitForAsync("document.querySelectorAll('#placement .mark').length > 0");
        Assert.Contains("tiles are missing", await browser.EvaluateAsync("document.querySelector('#banner').innerText"));
        Assert.Contains("lost: worker-1", await browser.EvaluateAsync("document.querySelector('#banner').innerText"));
        await ShowAsync(browser, "placement", "true", "placement-lost");
        await ShowAsync(browser, "workers", "document.querySelector('tr[data-worker=worker-1] .badge').innerText === 'lost'", null);
    }

    [Fact]
    public async Task The_files_of_the_page_come_with_a_policy_that_lets_nothing_else_run()
    {
        using var cluster = await Cluster.StartAsync("serve", "--model", "demo");
        using var page = await cluster.Client.GetAsync("/");
        Assert.Equal("text/html; charset=utf-8", page.Content.Headers.ContentType!.ToString());
        var policy = Assert.Single(page.Headers.GetValues("Content-Security-Policy"));
        Assert.Contains("default-src 'none'; script-src 'self'", policy);
        foreach (var path in (string[])["/dashboard/../appsettings.json", "/dashboard/none.js", "/dashboard/%2e%2e%2fmain.js"])
            using (var missing = await cluster.Client.GetAsync(path))
                Assert.Equal(HttpStatusCode.NotFound, missing.StatusCode);
    }

    /// <summary>Generates in the page, and looks at a token: with probabilities and experts where the server gives them.</summary>
    /// <returns>Optional fields that the server refused.</returns>
    private static async Task<int> CompleteInPlaygroundAsync(Cluster cluster, Browser browser)
    {
        using var probe = await cluster.Client.PostAsJsonAsync("/v1/completions", new { prompt = new[] { 5 }, max_tokens = 1, logprobs = 1, return_routed_experts = true });
        await browser.EvaluateAsync("location.hash = '#playground'");
        await browser.WaitForAsync("!document.querySelector('#run').disabled");
        await browser.EvaluateAsync("document.querySelector('#seed').value = 7; document.querySelector('#run').click()");
        await browser.WaitForAsync("document.querySelector('#done').dataset.ended");
        Assert.Equal("", await browser.EvaluateAsync("document.querySelector('#failure').textContent"));
        Assert.True(int.Parse(await browser.EvaluateAsync("document.querySelectorAll('.token').length")) > 10);
        await browser.EvaluateAsync("document.querySelectorAll('.token')[8].click()");
        var detail = await browser.EvaluateAsync("document.querySelector('#detail').innerText");
        if (probe.IsSuccessStatusCode)
        {
            Assert.Contains("probable", detail);
            Assert.Equal("4", await browser.EvaluateAsync("document.querySelectorAll('#routing tr').length"));
        }
        else
            Assert.Contains("gives no probabilities", detail);
        await SaveAsync(browser, "playground");
        return probe.IsSuccessStatusCode ? 0 : 2;
    }

    private static async Task ShowAsync(Browser browser, string page, string condition, string? image = "")
    {
        await browser.EvaluateAsync($"location.hash = '#{page}'");
        await browser.WaitForAsync($"!document.querySelector('#page-{page}').hidden && ({condition})");
        if (image is not null)
            await SaveAsync(browser, image.Length > 0 ? image : page);
    }

    private static async Task SaveAsync(Browser browser, string name)
    {
        var image = await browser.ScreenshotAsync();
        Assert.True(image.Length > 10_000, $"{name} is an empty page");
        if (WritesImages)
            await File.WriteAllBytesAsync(Path.Combine(Repository.Root, "docs", "images", $"dashboard-{name}.png"), image);
    }
}
