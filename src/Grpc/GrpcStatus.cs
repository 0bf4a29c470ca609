namespace Grok1Cluster.Grpc;

/// <summary>The outcome of a call: a code and, unless it is <see cref="GrpcStatusCode.Ok"/>, a message for people.</summary>
public readonly record struct GrpcStatus(GrpcStatusCode Code, string Message)
{
    /// <summary>The call succeeded.</summary>
    public static GrpcStatus Ok { get; } = new(GrpcStatusCode.Ok, "");

    /// <inheritdoc/>
    public override string ToString() => Message.Length == 0 ? Code.ToString() : $"{Code}: {Message}";
}
