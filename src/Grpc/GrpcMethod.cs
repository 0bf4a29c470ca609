using Google.Protobuf;

namespace Grok1Cluster.Grpc;

/// <summary>A remote method: its path and how its messages are written and read. Both sides of a call use the same value.</summary>
/// <param name="Service">Full name of the service, for example <c>grpc.health.v1.Health</c>.</param>
/// <param name="Name">Name of the method, for example <c>Check</c>.</param>
/// <param name="Request">Marshaller of what the client sends.</param>
/// <param name="Response">Marshaller of what the server sends.</param>
public sealed record GrpcMethod<TRequest, TResponse>(string Service, string Name, Marshaller<TRequest> Request, Marshaller<TResponse> Response)
{
    /// <summary>The path of the HTTP/2 request: <c>/service/name</c>.</summary>
    public string Path { get; } = $"/{Service}/{Name}";
}

/// <summary>Makes methods.</summary>
public static class GrpcMethod
{
    /// <summary>A method whose messages are generated protobuf classes.</summary>
    public static GrpcMethod<TRequest, TResponse> Protobuf<TRequest, TResponse>(
        string service, string name, MessageParser<TRequest> request, MessageParser<TResponse> response)
        where TRequest : IMessage<TRequest>
        where TResponse : IMessage<TResponse>
        => new(service, name, Marshaller.Protobuf(request), Marshaller.Protobuf(response));
}
