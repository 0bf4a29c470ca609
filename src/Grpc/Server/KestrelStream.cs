using System.IO.Pipelines;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Grpc.Wire;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Grok1Cluster.Grpc.Server;

/// <summary>A request on Kestrel's HTTP/2.</summary>
internal sealed class KestrelStream : IServerStream
{
    private const int ResetCodeCancel = 8;

    private readonly HttpContext _context;

    public KestrelStream(HttpContext context)
    {
        _context = context;
        // Streams live long and may rest for minutes; message limits and deadlines guard them instead of body size and data rate.
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = null;
        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
            rate.MinDataRate = null;
        RequestHeaders = [];
        foreach (var (name, values) in context.Request.Headers)
            foreach (var value in values)
                RequestHeaders.Add(name.ToLowerInvariant(), value ?? "");
    }

    public string Method => _context.Request.Method;

    public string Path => _context.Request.Path.Value ?? "";

    public string Peer => _context.Connection switch
    {
        { RemoteIpAddress: null } => "unix:",
        { RemoteIpAddress: { AddressFamily: AddressFamily.InterNetworkV6 } ip, RemotePort: var port } => $"ipv6:[{ip}]:{port}",
        { RemoteIpAddress: var ip, RemotePort: var port } => $"ipv4:{ip}:{port}",
    };

    public X509Certificate2? PeerCertificate => _context.Connection.ClientCertificate;

    public HeaderList RequestHeaders { get; }

    public PipeReader Request => _context.Request.BodyReader;

    public PipeWriter Response => _context.Response.BodyWriter;

    public CancellationToken Aborted => _context.RequestAborted;

    public CancellationToken Stopping => _context.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;

    public MessageScheduling Scheduling
    {
        // Kestrel chooses for itself.
        set { }
    }

    public bool HasStarted => _context.Response.HasStarted;

    public void SetResponseHead(int httpStatus, HeaderList headers)
    {
        _context.Response.StatusCode = httpStatus;
        foreach (var (name, value) in headers)
            _context.Response.Headers.Append(name, value);
    }

    public void SetTrailers(HeaderList trailers)
    {
        foreach (var (name, value) in trailers)
            _context.Response.AppendTrailer(name, value);
    }

    public Task EndResponseAsync() => _context.Response.CompleteAsync();

    public void Reset() => _context.Features.GetRequiredFeature<IHttpResetFeature>().Reset(ResetCodeCancel);
}
