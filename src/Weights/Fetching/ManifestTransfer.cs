using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;

namespace Grok1Cluster.Weights.Fetching;

/// <summary>A manifest that a source sent, checked.</summary>
/// <param name="Address">Who sent it.</param>
/// <param name="Bytes">As it came.</param>
/// <param name="Manifest">What it says.</param>
public readonly record struct ReceivedManifest(string Address, byte[] Bytes, StoreManifest Manifest);

/// <summary>Brings manifests from sources.</summary>
public static class ManifestTransfer
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60);

    /// <summary>The manifests of those that can be reached, in the order of their addresses; at least one.</summary>
    /// <param name="sources">gRPC addresses.</param>
    /// <param name="tls">What to show them; null in clear.</param>
    /// <param name="note">Told in a line of each that is left out.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="RpcException">None can be reached.</exception>
    /// <exception cref="ModelException">One sends no manifest.</exception>
    public static async Task<IReadOnlyList<ReceivedManifest>> FetchAllAsync(IReadOnlyCollection<string> sources, NodeCredentials? tls, Action<string> note, CancellationToken cancel)
    {
        var faults = new List<RpcException>();
        var received = await Task.WhenAll(sources.Select(async address =>
        {
            try
            {
                return (ReceivedManifest?)await FetchAsync(address, tls, cancel);
            }
            catch (RpcException e)
            {
                note($"source {address} does not tell its model: {e.Status.Message}");
                lock (faults)
                    faults.Add(e);
                return null;
            }
        }));
        IReadOnlyList<ReceivedManifest> there = [.. received.OfType<ReceivedManifest>()];
        return there.Count > 0 ? there
            : throw new RpcException(faults[0].Code, $"none of the sources {string.Join(", ", sources)} tells its model ({faults[0].Status.Message}); start one that has it, or name others");
    }

    private static async Task<ReceivedManifest> FetchAsync(string address, NodeCredentials? tls, CancellationToken cancel)
    {
        using var channel = SourceChannels.Open(address, tls);
        using var call = channel.ServerStreaming(WeightMethods.GetManifest, new GetManifestRequest(), GrpcCallOptions.After(Timeout), cancel);
        using var bytes = new MemoryStream();
        while (await call.Responses.MoveNextAsync(cancel))
        {
            var data = call.Responses.Current.Data;
            if (data.Length > StoreManifest.MaxBytes - bytes.Length)
                throw new ModelException($"{address}: sends more than {StoreManifest.MaxBytes} bytes, which are too many for a manifest");
            bytes.Write(data.Span);
        }
        var manifest = bytes.ToArray();
        // A worker that starts does this beside others that compute.
        StoreManifest parsed = null!;
        await BackgroundThread.Run(() => parsed = StoreManifest.Parse(manifest, address));
        return new ReceivedManifest(address, manifest, parsed);
    }
}
