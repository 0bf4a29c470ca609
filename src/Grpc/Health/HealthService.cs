using System.Collections.Immutable;
using Grok1Cluster.Grpc.Server;
using Grpc.Health.V1;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace Grok1Cluster.Grpc.Health;

/// <summary>The standard health service. The empty service name stands for the server as a whole, which is NOT_SERVING until it is set otherwise. Thread-safe.</summary>
public sealed class HealthService
{
    /// <summary>The name of the server as a whole.</summary>
    public const string WholeServer = "";

    private readonly Lock _gate = new();
    private Snapshot _current = new(ImmutableDictionary<string, ServingStatus>.Empty.Add(WholeServer, ServingStatus.NotServing));

    /// <summary>Adds Check and Watch to <paramref name="services"/>.</summary>
    public void AddTo(GrpcServices services) => services
        .AddUnary(HealthMethods.Check, CheckAsync)
        .AddServerStreaming(HealthMethods.Watch, WatchAsync);

    /// <summary>Sets the status of a service, which is known from then on, and tells its watchers.</summary>
    public void Set(string service, bool serving)
    {
        Snapshot before;
        lock (_gate)
        {
            before = _current;
            Volatile.Write(ref _current, new Snapshot(before.Statuses.SetItem(service, serving ? ServingStatus.Serving : ServingStatus.NotServing)));
        }
        before.Replaced.SetResult();
    }

    private Task<HealthCheckResponse> CheckAsync(HealthCheckRequest request, ServerCallContext context) =>
        Volatile.Read(ref _current).Statuses.TryGetValue(request.Service, out var status)
            ? Task.FromResult(new HealthCheckResponse { Status = status })
            : throw new RpcException(GrpcStatusCode.NotFound, $"this server knows no service '{request.Service}'");

    /// <summary>A watcher that reads slowly misses states in between, never the last one.</summary>
    private async Task WatchAsync(HealthCheckRequest request, IMessageWriter<HealthCheckResponse> responses, ServerCallContext context)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, context.ServerStopping);
        ServingStatus? told = null;
        while (true)
        {
            var now = Volatile.Read(ref _current);
            var status = now.Statuses.GetValueOrDefault(request.Service, ServingStatus.ServiceUnknown);
            if (status != told)
                await responses.WriteAsync(new HealthCheckResponse { Status = status }, context.CancellationToken);
            told = status;
            await now.Replaced.Task.WaitAsync(over.Token);
        }
    }

    /// <summary>All statuses at one moment, and a signal for the moment they are replaced.</summary>
    private sealed record Snapshot(ImmutableDictionary<string, ServingStatus> Statuses)
    {
        public TaskCompletionSource Replaced { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
