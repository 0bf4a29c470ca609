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

    /// <summary>What becomes of what the worker says of itself.</summary>
    public Action<DescribeResponse> Describe { get; set; } = static _ => { };

    /// <summary>What a call waits for before it is passed on; calls after it do not wait.</summary>
    public Func<Task> Gate { get; set; } = static () => Task.CompletedTask;

    /// <param name="listen">Where another one was before; left out: anywhere.</param>
    /// <param name="describe">As <see cref="Describe"/>, from the first question on.</param>
    public static async Task<FaultyWorker> StartAsync(string id, string model, string listen = "127.0.0.1:0", Action<DescribeResponse>? describe = null)
    {
        var worker = new FaultyWorker(await ExpertWorkerHost.StartAsync(new ExpertWorkerOptions { Id = id, ModelPath = model, Threads = 1 }, _ => { }, CancellationToken.None));
        worker.Describe = describe ?? worker.Describe;
        var (services, health) = (new GrpcServices(), new HealthService());
        services.AddUnary(ExpertMethods.Describe, async (request, context) =>
        {
            var said = await worker._channel.UnaryAsync(ExpertMethods.Describe, request, GrpcCallOptions.Endless, context.CancellationToken);
            worker.Describe(said);
            return said;
        });
        services.AddDuplexStreaming(ExpertMethods.Process, worker.ProcessAsync);
        health.AddTo(services);
        health.Set(HealthService.WholeServer, serving: true);
        worker._server = await GrpcServer.StartAsync(services, new GrpcServerOptions
        {
            Listen = [listen], Calls = new ServerCallOptions { MaxReceiveMessageBytes = ExpertMethods.MaxMessageBytes },
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
        using var passing = new SemaphoreSlim(1);
        using var turn = new SemaphoreSlim(1);
        List<Task> working = [AnswerAsync()];
        try
        {
            while (await requests.MoveNextAsync(ended.Token))
                if (requests.Current is { KindCase: ProcessRequest.KindOneofCase.Call } call && Refuse() is { } reason)
                {
                    await WriteAsync(new ProcessResponse { Failure = new CallFailure { Id = call.Call.Id, Reason = reason, Message = "as the test wants it" } });
                }
                else
                {
                    working.Add(PassAsync(requests.Current, requests.Current.KindCase == ProcessRequest.KindOneofCase.Call ? Gate() : Task.CompletedTask));
                }
        }
        finally
        {
            await ended.CancelAsync();
            await Task.WhenAll(working).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        async Task PassAsync(ProcessRequest request, Task gate)
        {
            await gate.WaitAsync(ended.Token);
            await passing.WaitAsync(ended.Token);
            await real.WriteAsync(request, ended.Token);
            passing.Release();
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
