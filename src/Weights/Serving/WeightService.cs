using System.Buffers;
using Google.Protobuf;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;

namespace Grok1Cluster.Weights.Serving;

/// <summary>
/// <c>grok1.cluster.v1.WeightService</c>: gives the manifest and the expert blocks that this machine has to machines that do not
/// have them. Few transfers run at a time, and one whose reader stands still is ended, so that they never hold up what the
/// process is there for.
/// </summary>
/// <param name="local">What there is to give.</param>
public sealed class WeightService(LocalWeights local)
{
    /// <summary>Transfers at a time; more wait for their turn.</summary>
    private const int MaxTransfers = 4;

    /// <summary>Transfers that may wait; more are refused.</summary>
    private const int MaxWaiting = 256;

    private const int ChunkBytes = 64 << 10;

    /// <summary>For the reader of a transfer to take one chunk.</summary>
    private static readonly TimeSpan ChunkTimeout = TimeSpan.FromSeconds(30);

    private readonly SemaphoreSlim _transfers = new(MaxTransfers);
    private int _waiting;

    public void AddTo(GrpcServices services) => services
        .AddServerStreaming(WeightMethods.GetManifest, GetManifestAsync)
        .AddServerStreaming(WeightMethods.GetBlocks, GetBlocksAsync);

    private Task GetManifestAsync(GetManifestRequest request, IMessageWriter<ManifestChunk> chunks, ServerCallContext context)
    {
        if (request.Fingerprint.Length > 0)
            CheckModel(request.Fingerprint, GrpcStatusCode.NotFound);
        return InTurnAsync(context, async (buffer, patience) =>
        {
            using var file = File.OpenHandle(Path.Combine(local.Model.Directory, StoreManifest.FileName));
            for (long offset = 0; await RandomAccess.ReadAsync(file, buffer.AsMemory(0, ChunkBytes), offset, patience.Token) is > 0 and var read; offset += read)
            {
                patience.CancelAfter(ChunkTimeout);
                await chunks.WriteAsync(new ManifestChunk { Data = UnsafeByteOperations.UnsafeWrap(buffer.AsMemory(0, read)) }, patience.Token);
            }
        });
    }

    private Task GetBlocksAsync(GetBlocksRequest request, IMessageWriter<BlockChunk> chunks, ServerCallContext context)
    {
        CheckModel(request.Fingerprint, GrpcStatusCode.FailedPrecondition);
        var (config, layout) = (local.Model.Config, local.Model.ExpertLayout);
        if (request.Range is not { } range || range.Layer >= config.LayerCount || range.Expert >= config.ExpertCount || range.FirstBlock >= range.EndBlock || range.EndBlock > layout.Blocks.Count)
            throw new RpcException(GrpcStatusCode.InvalidArgument, $"{request.Range} is no range of a model of {config.LayerCount} layers, {config.ExpertCount} experts and {layout.Blocks.Count} blocks");
        return InTurnAsync(context, async (buffer, patience) =>
        {
            for (var block = range.FirstBlock; block < range.EndBlock; block++)
            {
                var id = new BlockId((int)range.Layer, (int)range.Expert, (int)block);
                await SendAsync(local.Find(id) ?? throw new RpcException(GrpcStatusCode.NotFound, $"{id} is not here"), chunks, buffer, patience);
            }
        });
    }

    private static async Task SendAsync(StoredBlock place, IMessageWriter<BlockChunk> chunks, byte[] buffer, CancellationTokenSource patience)
    {
        using var file = File.OpenHandle(place.Path);
        for (long done = 0; done < place.Bytes;)
        {
            var read = await RandomAccess.ReadAsync(file, buffer.AsMemory(0, (int)Math.Min(ChunkBytes, place.Bytes - done)), place.Offset + done, patience.Token);
            if (read == 0)
                throw new RpcException(GrpcStatusCode.NotFound, $"{place.Id} is not here: its file ended");
            patience.CancelAfter(ChunkTimeout);
            // The message is on its way, or in the connection's own buffers, when this returns: ours may be used again.
            await chunks.WriteAsync(new BlockChunk { Block = (uint)place.Id.Block, Offset = (ulong)done, Data = UnsafeByteOperations.UnsafeWrap(buffer.AsMemory(0, read)) }, patience.Token);
            done += read;
        }
    }

    private async Task InTurnAsync(ServerCallContext context, Func<byte[], CancellationTokenSource, Task> transfer)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, context.ServerStopping);
        if (Interlocked.Increment(ref _waiting) > MaxWaiting)
        {
            Interlocked.Decrement(ref _waiting);
            throw new RpcException(GrpcStatusCode.ResourceExhausted, $"{MaxTransfers} transfers run and {MaxWaiting} wait here; ask another, or later");
        }
        try
        {
            await _transfers.WaitAsync(patience.Token);
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            await transfer(buffer, patience);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new RpcException(GrpcStatusCode.Unavailable, $"the weights cannot be read here: {e.Message}");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            _transfers.Release();
        }
    }

    private void CheckModel(string fingerprint, GrpcStatusCode code)
    {
        if (fingerprint != local.Model.Manifest.Fingerprint)
            throw new RpcException(code, $"the weights here are of the model {local.Model.Manifest.Fingerprint[..16]}");
    }
}
