using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Tests.Weights;

/// <summary>What a coordinator says to one worker, by generated messages.</summary>
internal sealed class WorkerClient(string address) : IDisposable
{
    public GrpcChannel Channel { get; } = new(address, new GrpcChannelOptions { MaxReceiveMessageBytes = ExpertMethods.MaxMessageBytes });

    public Task<DescribeResponse> DescribeAsync() => Channel.UnaryAsync(ExpertMethods.Describe, new DescribeRequest(), GrpcCallOptions.Endless, CancellationToken.None);

    /// <summary>The last that the worker said when it holds what was asked for.</summary>
    public async Task<HoldProgress> HoldAsync(HoldRequest request)
    {
        using var call = Channel.ServerStreaming(ControlMethods.Hold, request, GrpcCallOptions.Endless, CancellationToken.None);
        HoldProgress? last = null;
        while (await call.Responses.MoveNextAsync(CancellationToken.None))
            last = call.Responses.Current;
        return last!;
    }

    public Task<ReleaseResponse> ReleaseAsync(ReleaseRequest request) => Channel.UnaryAsync(ControlMethods.Release, request, GrpcCallOptions.Endless, CancellationToken.None);

    public Task LeaveAsync() => Channel.UnaryAsync(ControlMethods.Leave, new LeaveRequest(), GrpcCallOptions.Endless, CancellationToken.None);

    public DuplexStreamingCall<ProcessRequest, ProcessResponse> Process() => Channel.DuplexStreaming(ExpertMethods.Process, GrpcCallOptions.Endless, CancellationToken.None);

    /// <summary>One call and its answer.</summary>
    public async Task<ProcessResponse> ComputeAsync(ModelStore store, params BlockRange[] ranges)
    {
        using var stream = Process();
        await stream.WriteAsync(ExpertCalls.Call(store, 1, ranges), CancellationToken.None);
        Assert.True(await stream.Responses.MoveNextAsync(CancellationToken.None));
        return stream.Responses.Current;
    }

    public void Dispose() => Channel.Dispose();
}
