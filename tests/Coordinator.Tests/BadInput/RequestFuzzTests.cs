using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Http.OpenAi;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;
using Grok1Cluster.Coordinator.Http.OpenAi.Completions;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.TestKit;
using Grok1Cluster.TestKit.Fuzzing;

namespace Grok1Cluster.Coordinator.Tests.BadInput;

/// <summary>Whatever stands in a body is a request, or an error that the API has a name for.</summary>
public sealed class RequestFuzzTests : IAsyncLifetime
{
    private static readonly ApiLimits Limits = new();

    private ClusterSession _session = null!;
    private ServedModel _model = null!;

    public async Task InitializeAsync()
    {
        _session = await ClusterSession.StartAsync(new ClusterSessionOptions { StorePath = Path.Combine(Repository.Root, "models", "demo"), Threads = 1 }, _ => { }, CancellationToken.None);
        _model = new ServedModel(_session);
    }

    public async Task DisposeAsync() => await _session.DisposeAsync();

    [Fact]
    public void A_completion_request_is_read_or_refused_in_bounded_memory() =>
        Run("completion-request", bytes => CompletionRequest.Read(JsonBody.Parse(bytes, Limits.JsonDepth), _model, Limits));

    [Fact]
    public void A_chat_request_is_read_or_refused_in_bounded_memory() =>
        Run("chat-request", bytes => ChatRequest.Read(JsonBody.Parse(bytes, Limits.JsonDepth), _model, ChatTemplate.Plain, Limits));

    private static void Run(string reader, Action<byte[]> read) =>
        new FuzzRun { Reader = reader, Inputs = 4000, Refuses = static fault => fault is ApiException, AllocationFactor = 400 }.Check(read);
}
