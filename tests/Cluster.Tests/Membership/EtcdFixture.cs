using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Membership;

/// <summary>An etcd that the tests of a class share, each with a cluster of its own name; started by the first that asks for it.</summary>
public sealed class EtcdFixture : IAsyncDisposable, IAsyncLifetime
{
    private readonly Lazy<Task<EtcdServer>> _server = new(EtcdServer.StartAsync);

    public Task<EtcdServer> ServerAsync() => _server.Value;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_server.IsValueCreated)
            await (await _server.Value).DisposeAsync();
    }

    async ValueTask IAsyncDisposable.DisposeAsync() => await DisposeAsync();
}
