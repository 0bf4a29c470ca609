using System.Buffers;
using System.Security.Cryptography;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;
using Grok1Cluster.Weights.Cache;

namespace Grok1Cluster.Weights.Fetching;

/// <summary>One source is asked for one piece. Buffers are sized by the model's layout, never by what comes.</summary>
internal sealed class PieceTransfer(ModelStore model, WeightCache cache, FetchSource source, TokenBucket bucket, Action<long> fetched)
{
    /// <summary>For a source to send something.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>Completes when all of the piece is in the cache, whoever brought it there. What came before a fault is kept.</summary>
    /// <exception cref="WrongBytesException">The source is not to be believed.</exception>
    /// <exception cref="RpcException">It does not have the piece, failed, or is silent.</exception>
    public async Task RunAsync(FetchPiece piece, CancellationToken cancel)
    {
        while (true)
        {
            // Another source or another process may have brought some of it.
            cache.Refresh();
            var missing = piece.Blocks.Where(block => !cache.Has(block.Id, block.Sha256)).ToArray();
            if (missing.Length == 0)
                return;
            var run = missing.TakeWhile((block, index) => block.Id.Block == missing[0].Id.Block + index).ToArray();
            await FetchAsync(run, cancel);
        }
    }

    private async Task FetchAsync(IReadOnlyList<(BlockId Id, string Sha256)> run, CancellationToken cancel)
    {
        var buffers = new List<byte[]>();
        Exception? fault = null;
        try
        {
            await ReceiveAsync(run, buffers, cancel);
        }
        catch (Exception e)
        {
            fault = e;
        }
        try
        {
            // Not while somebody waits for a token: hashing and writing give way to computing.
            await BackgroundThread.Run(() => Keep(run, buffers));
        }
        finally
        {
            foreach (var buffer in buffers)
                ArrayPool<byte>.Shared.Return(buffer);
        }
        if (fault is not null)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(fault);
    }

    /// <param name="buffers">Receives one for each block that came whole.</param>
    private async Task ReceiveAsync(IReadOnlyList<(BlockId Id, string Sha256)> run, List<byte[]> buffers, CancellationToken cancel)
    {
        var first = run[0].Id;
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        using var call = source.Channel.ServerStreaming(WeightMethods.GetBlocks, new GetBlocksRequest
        {
            Fingerprint = model.Manifest.Fingerprint,
            Range = new BlockRange { Layer = (uint)first.Layer, Expert = (uint)first.Expert, FirstBlock = (uint)first.Block, EndBlock = (uint)(run[^1].Id.Block + 1) },
        }, GrpcCallOptions.Endless, cancel);
        foreach (var (id, _) in run)
        {
            var length = Length(id);
            var buffer = ArrayPool<byte>.Shared.Rent(length);
            for (var done = 0; done < length;)
            {
                if (!await NextAsync(call, patience, cancel))
                    throw new WrongBytesException($"no more than {done} of {length} bytes of {id}");
                var chunk = call.Responses.Current;
                if (chunk.Block != id.Block || chunk.Offset != (ulong)done || chunk.Data.Length == 0 || chunk.Data.Length > length - done)
                    throw new WrongBytesException($"{chunk.Data.Length} bytes at {chunk.Offset} of block {chunk.Block}, where byte {done} of {id} was to come");
                chunk.Data.Span.CopyTo(buffer.AsSpan(done));
                done += chunk.Data.Length;
                await bucket.TakeAsync(chunk.Data.Length, cancel);
            }
            buffers.Add(buffer);
        }
        if (await NextAsync(call, patience, cancel))
            throw new WrongBytesException("more than it was asked for");
    }

    private static async Task<bool> NextAsync(ServerStreamingCall<BlockChunk> call, CancellationTokenSource patience, CancellationToken cancel)
    {
        patience.CancelAfter(Patience);
        try
        {
            var more = await call.Responses.MoveNextAsync(patience.Token);
            patience.CancelAfter(Timeout.Infinite);
            return more;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new RpcException(GrpcStatusCode.DeadlineExceeded, $"nothing came for {Patience.TotalSeconds:0} s");
        }
    }

    private void Keep(IReadOnlyList<(BlockId Id, string Sha256)> run, List<byte[]> buffers)
    {
        var verified = new List<VerifiedBlock>();
        WrongBytesException? wrong = null;
        for (var i = 0; i < buffers.Count && wrong is null; i++)
        {
            var (id, sha256) = run[i];
            if (cache.Has(id, sha256))
                continue;
            var bytes = buffers[i].AsMemory(0, Length(id));
            if (Convert.ToHexStringLower(SHA256.HashData(bytes.Span)) == sha256)
                verified.Add(new VerifiedBlock(id, sha256, bytes));
            else
                wrong = new WrongBytesException($"{id} with another SHA-256 than was asked for");
        }
        fetched(cache.Add(verified));
        if (wrong is not null)
            throw wrong;
    }

    private int Length(BlockId id) => checked((int)model.ExpertLayout.Blocks[id.Block].Bytes);
}
