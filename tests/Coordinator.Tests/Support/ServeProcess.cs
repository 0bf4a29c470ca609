using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Support;

/// <summary>A process of <c>grok1 serve</c> with the demo model and one key, for the tests of a class.</summary>
public sealed class ServeProcess : IDisposable
{
    public const string Key = "sk-for-the-tests-0123";

    private readonly string _keys = Path.GetTempFileName();
    private readonly Grok1Process _process;

    public ServeProcess()
    {
        File.WriteAllText(_keys, $"tests {Key}\n");
        _process = Grok1Process.Start("serve", "--model", TestServer.DemoModel, "--port", "0", "--api-keys", _keys);
    }

    /// <summary>Where it listens, once it does.</summary>
    public async Task<string> UrlAsync()
    {
        var line = await _process.WaitForErrorLineAsync(line => line.StartsWith("serving ", StringComparison.Ordinal));
        return line[(line.LastIndexOf(' ') + 1)..];
    }

    public void Dispose()
    {
        _process.Dispose();
        File.Delete(_keys);
    }
}
