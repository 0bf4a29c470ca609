using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Health;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>A real worker behind a server that passes everything on, except what a test has it do wrong.</summary>
internal sealed class FaultyWorker : IAsyncDisposable
{
    private readonly ExpertWorkerHost _worker;
    private readonly GrpcChannel _channel;
    private GrpcServer _server = null!;

    private FaultyWorker(ExpertWorkerHost worker) =>
        (_worker, _channel) = (worker, new GrpcChannel(worker.Address.ToString(), new GrpcChannelOptions { MaxReceiveMessageBytes = ExpertMethods.MaxMessageBytes }));

    public string Address => _server.Addresses[0].ToString();

    /// <summary>Why the next calls are refused; null: they are passed on.</summary>
    public Func<CallFailure.Types.Reason?> Refuse { get; set; } = static () => null;

    /// <summary>What becomes of results.</summary>
    public Action<ExpertResult> Alter { get; set; } = static _ => { };

    /// <summary>Calls are not passed on before it is completed.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    public static async Task<FaultyWorker> StartAsync(string id, string model)
    {
        var worker = new FaultyWorker(await ExpertWorkerHost.StartAsync(new ExpertWorkerOptions { Id = id, ModelPath = model, Threads = 1 }, _ => { }, CancellationToken.None));
        var (services, health) = (new GrpcServices(), new HealthService());
        services.AddUnary(ExpertMethods.Describe, (request, context) => worker._channel.UnaryAsync(ExpertMethods.Describe, request, GrpcCallOptions.Endless, context.CancellationToken));
        services.AddDuplexStreaming(ExpertMethods.Process, worker.ProcessAsync);
        health.AddTo(services);
        health.Set(HealthService.WholeServer, serving: true);
        worker._server = await GrpcServer.StartAsync(services, new GrpcServerOptions
        {
            Listen = ["127.0.0.1:0"], Calls = new ServerCallOptions { MaxReceiveMessageBytes = ExpertMethods.MaxMessageBytes },
        }, CancellationToken.None);
        return worker;
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _channel.Dispose();
        await _worker.DisposeAsync();
    }

    private async Task ProcessAsync(IMessageReader<ProcessRequest> requests, IMessageWriter<ProcessResponse> responses, ServerCallContext context)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken);
        using var real = _channel.DuplexStreaming(ExpertMethods.Process, GrpcCallOptions.Endless, ended.Token);
        using var turn = new SemaphoreSlim(1);
        var answering = AnswerAsync();
        try
        {
            while (await requests.MoveNextAsync(ended.Token))
                if (requests.Current is { KindCase: ProcessRequest.KindOneofCase.Call } call && Refuse() is { } reason)
                {
                    await WriteAsync(new ProcessResponse { Failure = new CallFailure { Id = call.Call.Id, Reason = reason, Message = "as the test wants it" } });
                }
                else
                {
                    await Gate.WaitAsync(ended.Token);
                    await real.WriteAsync(requests.Current, ended.Token);
                }
        }
        finally
        {
            await ended.CancelAsync();
            await answering.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        async Task AnswerAsync()
        {
            while (await real.Responses.MoveNextAsync(ended.Token))
            {
                var response = real.Responses.Current;
                if (response.Result is { } result)
                    Alter(result);
                await WriteAsync(response);
            }
        }

        async Task WriteAsync(ProcessResponse response)
        {
            await turn.WaitAsync(ended.Token);
            await responses.WriteAsync(response, ended.Token);
            turn.Release();
        }
    }
}
