namespace Grok1Cluster.Grpc.Server;

/// <summary>What listens and hands requests to the dispatcher.</summary>
internal interface IServerHost : IAsyncDisposable
{
    /// <summary>Where it listens, with the ports it was given, in the order of <see cref="GrpcServerOptions.Listen"/>.</summary>
    IReadOnlyList<GrpcAddress> Addresses { get; }

    /// <summary>Takes no new calls and waits for those under way; what is left when the token fires is aborted.</summary>
    Task StopAsync(CancellationToken cancellationToken);
}
