using System.Collections.Frozen;
using Grok1Cluster.Grpc.Wire;
using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Grpc.Server;

/// <summary>Finds the handler of a request, or answers one that is no valid gRPC call.</summary>
internal sealed class GrpcDispatcher(GrpcServices services, ServerCallOptions options)
{
    private readonly FrozenDictionary<string, ServerCallHandler> _handlers = services.Snapshot();
    private readonly ServerCallOptions _options = OptionsCheck.Valid(options);

    /// <summary>Whether <paramref name="path"/> is one of the methods.</summary>
    public bool Knows(string path) => _handlers.ContainsKey(path);

    /// <summary>Serves the request; when the task completes the transport ends the response. Never throws.</summary>
    public Task DispatchAsync(IServerStream stream)
    {
        if (stream.Method != HttpMethods.Post)
            return Refuse(stream, StatusCodes.Status405MethodNotAllowed, []);
        if (!HeaderNames.IsGrpc(stream.RequestHeaders.Find(HeaderNames.ContentType)))
            return Refuse(stream, StatusCodes.Status415UnsupportedMediaType, []);
        if (_options.Authorize?.Invoke(stream.Path, stream.PeerCertificate) is { Code: not GrpcStatusCode.Ok } refusal)
            return Refuse(stream, refusal);
        return _handlers.TryGetValue(stream.Path, out var handler) ? handler.HandleAsync(stream, _options)
            : Refuse(stream, new GrpcStatus(GrpcStatusCode.Unimplemented, $"this server has no method {stream.Path}"));
    }

    private static Task Refuse(IServerStream stream, GrpcStatus status)
    {
        var headers = new HeaderList();
        headers.Add(HeaderNames.ContentType, HeaderNames.GrpcContentType);
        StatusEncoding.Append(status, [], headers);
        return Refuse(stream, StatusCodes.Status200OK, headers);
    }

    private static Task Refuse(IServerStream stream, int httpStatus, HeaderList headers)
    {
        stream.SetResponseHead(httpStatus, headers);
        return Task.CompletedTask;
    }
}
