using System.Net;
using System.Net.Sockets;
using System.Text;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

/// <summary>What operators are told when the coordinator that they ask is none.</summary>
public sealed class ClusterVerbTests
{
    [Fact]
    public async Task Where_nobody_listens_the_address_and_what_to_do_are_told_and_the_end_is_5()
    {
        var port = FreePort();
        var result = await Grok1Process.RunAsync("cluster", "status", "--url", $"http://127.0.0.1:{port}");
        Assert.Equal((5, ""), (result.ExitCode, result.Output));
        Assert.Matches($@"^grok1: no coordinator answers at http://127\.0\.0\.1:{port}/ \(.*refused.*\); start one \(grok1 up, grok1 serve\), or name it with --url\n$", result.Error);
    }

    [Theory]
    [InlineData("200 OK", "<html>a web page</html>", 5, "is no coordinator of grok1")]
    [InlineData("404 Not Found", "<html>nothing here</html>", 5, "is no coordinator of grok1")]
    [InlineData("200 OK", "null", 5, "is no coordinator of grok1")]
    [InlineData("403 Forbidden", """{"error":{"message":"this server answers to loopback names only"}}""", 6, "this server answers to loopback names only")]
    [InlineData("503 Service Unavailable", """{"error":{"message":"1 of 2 workers are there; waiting for more"}}""", 1, "the cluster is not ready: 1 of 2 workers are there; waiting for more")]
    [InlineData("401 Unauthorized", "", 6, "asks for a key; give it with --api-key")]
    public async Task What_a_server_answers_that_gives_no_status_is_told_in_one_line(string status, string body, int code, string message)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var answering = AnswerAsync(listener, $"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n{body}");
        var result = await Grok1Process.RunAsync("cluster", "status", "--url", $"http://{listener.LocalEndpoint}");
        await answering;
        Assert.Equal((code, ""), (result.ExitCode, result.Output));
        Assert.Contains(message, Assert.Single(result.Error.TrimEnd().Split('\n')));
    }

    [Fact]
    public async Task A_change_asked_of_what_is_no_coordinator_is_told_in_one_line_and_the_path_of_the_address_is_kept()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var answering = AnswerAsync(listener, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>");
        var result = await Grok1Process.RunAsync("cluster", "rebalance", "--url", $"http://{listener.LocalEndpoint}/behind/a/proxy");
        Assert.Equal("POST /behind/a/proxy/cluster/rebalance HTTP/1.1", await answering);
        Assert.Equal((5, $"grok1: what answers at http://{listener.LocalEndpoint}/behind/a/proxy/ is no coordinator of grok1; name one with --url\n"), (result.ExitCode, result.Error));
    }

    /// <returns>The first line of the request.</returns>
    private static async Task<string?> AnswerAsync(TcpListener listener, string answer)
    {
        using var client = await listener.AcceptTcpClientAsync();
        using var reader = new StreamReader(client.GetStream());
        var request = await reader.ReadLineAsync();
        while (await reader.ReadLineAsync() is { Length: > 0 })
        {
        }
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(answer));
        return request;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
