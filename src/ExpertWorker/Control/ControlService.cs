using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Model;
using Grok1Cluster.Protos.Cluster.V1;

namespace Grok1Cluster.ExpertWorker.Control;

/// <summary><c>grok1.cluster.v1.WorkerControl</c>: a coordinator changes what this worker holds, or ends it.</summary>
internal sealed class ControlService(TileStore tiles, TileKeeper keeper, LeaveSignal leaving)
{
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromMilliseconds(250);

    public void AddTo(GrpcServices services) => services
        .AddServerStreaming(ControlMethods.Hold, HoldAsync)
        .AddUnary(ControlMethods.Release, ReleaseAsync)
        .AddUnary(ControlMethods.Leave, (_, _) =>
        {
            leaving.Give();
            return Task.FromResult(new LeaveResponse());
        });

    private async Task HoldAsync(HoldRequest request, IMessageWriter<HoldProgress> progress, ServerCallContext context)
    {
        var (wanted, supply) = HoldRequestRules.Read(request, tiles.Model);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, context.ServerStopping);
        var state = new HoldState();
        var holding = keeper.HoldAsync(wanted, supply, state, ended.Token);
        try
        {
            while (await Task.WhenAny(holding, Task.Delay(ProgressInterval, ended.Token)) != holding)
                if (!ended.IsCancellationRequested)
                    await progress.WriteAsync(Message(state), ended.Token);
                else
                    break;
        }
        finally
        {
            // Whatever happened to the caller: nothing of the work goes on behind its back.
            await holding.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        try
        {
            await holding;
        }
        catch (ResourceException e)
        {
            throw new RpcException(GrpcStatusCode.ResourceExhausted, e.Message);
        }
        catch (ModelException e)
        {
            throw new RpcException(GrpcStatusCode.FailedPrecondition, e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new RpcException(GrpcStatusCode.Internal, e.Message);
        }
        await progress.WriteAsync(Message(state), context.CancellationToken);
    }

    private async Task<ReleaseResponse> ReleaseAsync(ReleaseRequest request, ServerCallContext context)
    {
        await keeper.ReleaseAsync(HoldRequestRules.Read(request, tiles.Model)).WaitAsync(context.CancellationToken);
        return new ReleaseResponse { HeldBytes = (ulong)tiles.Bytes };
    }

    private static HoldProgress Message(HoldState state) => new()
    {
        DoneBytes = (ulong)state.Done, TotalBytes = (ulong)state.Total, FetchedBytes = (ulong)state.Fetched,
    };
}
