using System.Net;
using System.Net.Http.Headers;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Grok1Cluster.Grpc.Tests.Calls;

/// <summary>What is seen on the level of HTTP: our server by a bare HTTP client, our client by a bare HTTP server.</summary>
public abstract class HttpTests(Transports transports) : TransportTests(transports)
{
    [Theory]
    [InlineData("POST", "application/json", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("POST", "application/grpc-web", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("PUT", "application/grpc", HttpStatusCode.MethodNotAllowed)]
    public async Task What_is_no_grpc_call_is_refused_by_http(string method, string contentType, HttpStatusCode expected)
    {
        await using var server = await StartAsync();
        using var response = await SendAsync(server, new HttpMethod(method), contentType, []);
        Assert.Equal(expected, response.StatusCode);
    }

    [Fact]
    public async Task A_good_answer_has_its_status_in_the_trailers()
    {
        await using var server = await StartAsync();
        using var response = await SendAsync(server, HttpMethod.Post, "application/grpc", [0, 0, 0, 0, 1, 65]);
        Assert.Equal("application/grpc", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal([0, 0, 0, 0, 1, 65], await response.Content.ReadAsByteArrayAsync());
        Assert.False(response.Headers.Contains("grpc-status"));
        Assert.Equal("0", response.TrailingHeaders.GetValues("grpc-status").Single());
    }

    [Theory]
    [InlineData(new byte[0], null, 13)]
    [InlineData(new byte[] { 0, 0, 0, 0, 2, 65 }, null, 13)]
    [InlineData(new byte[] { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, null, 13)]
    [InlineData(new byte[] { 1, 0, 0, 0, 0 }, "gzip", 12)]
    [InlineData(new byte[] { 0, 0x7f, 0xff, 0xff, 0xff }, null, 8)]
    public async Task A_bad_request_body_gets_a_status_in_the_headers_alone(byte[] body, string? encoding, int status)
    {
        await using var server = await StartAsync();
        using var response = await SendAsync(server, HttpMethod.Post, "application/grpc", body, ("grpc-encoding", encoding));
        Assert.Equal($"{status}", response.Headers.GetValues("grpc-status").Single());
        Assert.Empty(await response.Content.ReadAsByteArrayAsync());
        Assert.Equal("identity", response.Headers.GetValues("grpc-accept-encoding").Single());
    }

    [Theory]
    [InlineData("grpc-timeout", "soon")]
    [InlineData("data-bin", "?")]
    public async Task A_malformed_header_is_named(string name, string value)
    {
        await using var server = await StartAsync();
        using var response = await SendAsync(server, HttpMethod.Post, "application/grpc", [0, 0, 0, 0, 0], (name, value));
        Assert.Equal("13", response.Headers.GetValues("grpc-status").Single());
        Assert.Contains(name, response.Headers.GetValues("grpc-message").Single());
    }

    [Theory]
    [InlineData(503, null, GrpcStatusCode.Unavailable)]
    [InlineData(404, "text/html", GrpcStatusCode.Unimplemented)]
    [InlineData(200, "text/html", GrpcStatusCode.Unknown)]
    [InlineData(200, "application/grpc", GrpcStatusCode.Unknown)]
    public async Task An_answer_without_a_grpc_status_is_explained(int httpStatus, string? contentType, GrpcStatusCode expected)
    {
        await using var server = await StartBareAsync(context =>
        {
            context.Response.StatusCode = httpStatus;
            context.Response.ContentType = contentType;
            return context.Response.Body.WriteAsync(new byte[5]).AsTask();
        });
        using var channel = Channel(server.Urls.Single());
        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None));
        Assert.Equal(expected, failure.Code);
    }

    [Theory]
    [InlineData(0, GrpcStatusCode.Internal)]
    [InlineData(2, GrpcStatusCode.Internal)]
    public async Task A_unary_answer_must_be_one_message(int messages, GrpcStatusCode expected)
    {
        await using var server = await StartBareAsync(async context =>
        {
            context.Response.ContentType = "application/grpc";
            await context.Response.Body.WriteAsync(new byte[5 * messages]);
            context.Response.AppendTrailer("grpc-status", "0");
        });
        using var channel = Channel(server.Urls.Single());
        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None));
        Assert.Equal(expected, failure.Code);
    }

    [Theory]
    [InlineData(0x2, GrpcStatusCode.Internal)]
    [InlineData(0x8, GrpcStatusCode.Cancelled)]
    [InlineData(0xb, GrpcStatusCode.ResourceExhausted)]
    public async Task A_stream_that_the_server_breaks_off_tells_why(int error, GrpcStatusCode expected)
    {
        await using var server = await StartBareAsync(async context =>
        {
            context.Response.ContentType = "application/grpc";
            await context.Response.Body.WriteAsync(new byte[3]);
            await context.Response.Body.FlushAsync();
            context.Features.GetRequiredFeature<IHttpResetFeature>().Reset(error);
        });
        using var channel = Channel(server.Urls.Single());
        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None));
        Assert.Equal(expected, failure.Code);
    }

    [Fact]
    public async Task Grpc_and_ordinary_routes_share_an_application()
    {
        await using var server = await StartBareAsync(
            context => context.Response.WriteAsync("page"),
            application => application.UseGrpc(EchoService.Create(new TaskCompletionSource()), new ServerCallOptions()));
        using var channel = Channel(server.Urls.Single());
        await Conformance.AllFourCallShapes(channel);
        await Conformance.ErrorsWithAnyMessage(channel);
        using var client = new HttpClient { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        Assert.Equal("page", await client.GetStringAsync(server.Urls.Single() + "/anything"));
    }

    private static async Task<HttpResponseMessage> SendAsync(
        TestServer server, HttpMethod method, string contentType, byte[] body, params (string Name, string? Value)[] headers)
    {
        using var client = new HttpClient();
        var request = new HttpRequestMessage(method, $"http://{server.Address}{EchoService.Echo.Path}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue(contentType) } },
        };
        foreach (var (name, value) in headers)
            if (value is not null)
                request.Headers.TryAddWithoutValidation(name, value);
        return await client.SendAsync(request);
    }

    private static Task<WebApplication> StartBareAsync(RequestDelegate answer) => StartBareAsync(answer, _ => { });

    private static async Task<WebApplication> StartBareAsync(RequestDelegate answer, Action<WebApplication> configure)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
            kestrel.Listen(IPAddress.Loopback, 0, endpoint => endpoint.Protocols = HttpProtocols.Http2));
        var application = builder.Build();
        configure(application);
        application.Run(answer);
        await application.StartAsync();
        return application;
    }
}

public sealed class OwnHttpTests() : HttpTests(Transports.Own);

public sealed class StockHttpTests() : HttpTests(Transports.Stock);
