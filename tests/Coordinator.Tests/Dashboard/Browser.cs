using System.Diagnostics;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Dashboard;

/// <summary>One page of a real headless Chromium, driven by its DevTools protocol.</summary>
internal sealed class Browser : IAsyncDisposable
{
    private readonly Grok1Process _process;
    private readonly string _profile;
    private readonly ClientWebSocket _socket = new();
    private readonly List<string> _problems = [];
    private readonly int _width;
    private string _session = "";
    private int _lastId;

    private Browser(Grok1Process process, string profile, int width) => (_process, _profile, _width) = (process, profile, width);

    /// <summary>What the page wrote to its console as an error, exceptions, and requests to other hosts than the page's own.</summary>
    public IReadOnlyList<string> Problems => _problems;

    public static async Task<Browser> StartAsync(int width, int height)
    {
        var profile = Directory.CreateTempSubdirectory("grok1-chromium-").FullName;
        var browser = new Browser(Grok1Process.Start(new ProcessStartInfo("chromium",
        [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--remote-debugging-port=0", $"--user-data-dir={profile}", "about:blank",
        ])), profile, width);
        var line = await browser._process.WaitForErrorLineAsync(line => line.StartsWith("DevTools listening on "));
        await browser._socket.ConnectAsync(new Uri(line["DevTools listening on ".Length..]), CancellationToken.None);
        var target = await browser.SendAsync("Target.createTarget", new { url = "about:blank" });
        var attached = await browser.SendAsync("Target.attachToTarget", new { targetId = (string)target["targetId"]!, flatten = true });
        browser._session = (string)attached["sessionId"]!;
        await browser.SendAsync("Emulation.setDeviceMetricsOverride", new { width, height, deviceScaleFactor = 1, mobile = false });
        foreach (var domain in (string[])["Page", "Runtime", "Network", "Log"])
            await browser.SendAsync($"{domain}.enable", new { });
        return browser;
    }

    public Task OpenAsync(Uri url) => SendAsync("Page.navigate", new { url = url.ToString() });

    public Task SetSchemeAsync(string scheme) =>
        SendAsync("Emulation.setEmulatedMedia", new { features = new[] { new { name = "prefers-color-scheme", value = scheme } } });

    /// <summary>Waits in the page until an expression is true.</summary>
    public Task WaitForAsync(string condition) =>
        EvaluateAsync($"new Promise(done => {{ const check = () => {{ let good = false; try {{ good = !!({condition}); }} catch {{ }} good ? done(true) : setTimeout(check, 20); }}; check(); }})");

    /// <summary>The value of an expression, as text.</summary>
    public async Task<string> EvaluateAsync(string expression)
    {
        var result = await SendAsync("Runtime.evaluate", new { expression, awaitPromise = true, returnByValue = true });
        Assert.True(result["exceptionDetails"] is null, $"{expression}: {result.ToJsonString()}");
        return result["result"]!["value"]?.ToString() ?? "";
    }

    /// <summary>The page as it looks, down to the end of its content, PNG.</summary>
    public async Task<byte[]> ScreenshotAsync()
    {
        var height = int.Parse(await EvaluateAsync("Math.min(innerHeight, Math.ceil(document.querySelector('main').getBoundingClientRect().bottom))"));
        var image = await SendAsync("Page.captureScreenshot", new { format = "png", clip = new { x = 0, y = 0, width = _width, height, scale = 1 } });
        return Convert.FromBase64String((string)image["data"]!);
    }

    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        _process.Dispose();
        for (var attempt = 0; ; attempt++)
            try
            {
                Directory.Delete(_profile, recursive: true);
                return;
            }
            catch (IOException) when (attempt < 20)
            {
                // Its processes write until the last of them is gone.
                await Task.Yield();
            }
    }

    private async Task<JsonObject> SendAsync<T>(string method, T parameters)
    {
        using var limit = new CancellationTokenSource(Grok1Process.DefaultTimeout);
        var id = ++_lastId;
        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = JsonSerializer.SerializeToNode(parameters) };
        if (_session.Length > 0)
            message["sessionId"] = _session;
        await _socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(message), WebSocketMessageType.Text, true, limit.Token);
        for (; ; )
        {
            var answer = await ReceiveAsync(limit.Token);
            if ((int?)answer["id"] == id)
                return answer["result"] as JsonObject ?? throw new InvalidOperationException($"{method}: {answer.ToJsonString()}");
            Watch(answer);
        }
    }

    private void Watch(JsonObject notice)
    {
        var parameters = notice["params"];
        switch ((string?)notice["method"])
        {
            case "Runtime.exceptionThrown":
                _problems.Add(parameters!["exceptionDetails"]!.ToJsonString());
                break;
            case "Log.entryAdded" when (string?)parameters!["entry"]!["level"] == "error":
                _problems.Add((string)parameters["entry"]!["text"]!);
                break;
            case "Network.requestWillBeSent" when new Uri((string)parameters!["request"]!["url"]!) is { Scheme: "http" or "https" } url && !url.IsLoopback:
                _problems.Add($"asked {url}");
                break;
        }
    }

    private async Task<JsonObject> ReceiveAsync(CancellationToken cancel)
    {
        using var whole = new MemoryStream();
        var buffer = new byte[1 << 16];
        ValueWebSocketReceiveResult part;
        do
        {
            part = await _socket.ReceiveAsync(buffer.AsMemory(), cancel);
            whole.Write(buffer, 0, part.Count);
        }
        while (!part.EndOfMessage);
        return (JsonObject)JsonNode.Parse(whole.ToArray())!;
    }
}
