using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Grpc;
using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Weights;
using Grok1Cluster.Weights.Fetching;

namespace Grok1Cluster.ExpertWorker.Control;

/// <summary>
/// Changes what a worker holds while it computes. New tiles are read by a thread of low priority and shown to the computing
/// thread when they are complete; old ones are freed when the last call that may use them was answered. Thread-safe.
/// </summary>
/// <param name="leavesLoading">Whether a device brings what is held first into memory, where it wants it.</param>
/// <param name="verify">Whether every block that is in memory must have its hash before it is computed with.</param>
internal sealed class TileKeeper(string id, TileStore tiles, LocalWeights local, BlockFetcher fetcher, WeightMemory memory, long? memoryLimit, CallEpochs calls, bool verify, bool leavesLoading = false)
{
    private readonly SemaphoreSlim _holding = new(1);
    private readonly SemaphoreSlim _releasing = new(1);
    private readonly Lock _changing = new();

    /// <summary>Most bytes of weights that this worker may hold, by its limit or by what the machine had when it started.</summary>
    public long MemoryBytes { get; } = memoryLimit ?? MemoryBudget.Available();

    /// <summary>Computes, and may have memory of its own for what is held later; null as long as there is none.</summary>
    public IExpertDevice? Device { get; set; }

    /// <summary>Holds more, at the worker's start: reads as fast as the disk gives.</summary>
    /// <param name="wanted">What; all of it on this machine.</param>
    /// <param name="preload">Whether every page is read; else the files are mapped and no more.</param>
    /// <param name="loaded">Told of the bytes of each run, by several threads.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="ModelException">The store lacks a block, or cannot be read.</exception>
    /// <exception cref="ResourceException">They do not fit into memory.</exception>
    public void HoldFirst(WantedTiles wanted, bool preload, Action<long>? loaded, CancellationToken cancel)
    {
        var blocks = wanted.Blocks.ToArray();
        if (!leavesLoading)
            CheckMemory(blocks);
        Take(wanted, blocks, (runs, check) =>
        {
            if (preload && !leavesLoading)
                WeightLoading.LoadAll(runs, memory.For(runs.Sum(run => run.Bytes)), check, loaded, cancel);
            else if (preload && check is not null)
                // The device copies from the same pages of the file.
                WeightLoading.CheckAll(runs, check, cancel);
        });
    }

    /// <summary>Brings what this machine does not have from others to its disk.</summary>
    /// <param name="wanted">What; refused before anything is fetched if it does not fit into memory.</param>
    /// <param name="supply">From whom.</param>
    /// <param name="fetched">Told of bytes that came, by several threads.</param>
    /// <param name="cancel">Gives up; what came stays on disk.</param>
    /// <inheritdoc cref="BlockFetcher.FetchAsync" path="/exception"/>
    public async Task FetchAsync(WantedTiles wanted, WeightSupply supply, Action<long> fetched, CancellationToken cancel)
    {
        var blocks = wanted.Blocks.Where(block => !tiles.Holds(block)).ToArray();
        CheckMemory(blocks);
        (BlockId, string)[] missing = [.. blocks.Where(block => wanted.Sha256.ContainsKey(block) && local.Find(block, wanted.Sha256[block]) is null).Select(block => (block, wanted.Sha256[block]))];
        if (missing.Length > 0)
            await fetcher.FetchAsync(missing, supply.Sources, supply.BytesPerSecond, fetched, cancel);
    }

    /// <summary>Holds more, while calls run. What is held already is left alone.</summary>
    /// <exception cref="ModelException">A block cannot be read.</exception>
    /// <exception cref="ResourceException">They do not fit into memory, or onto the disk.</exception>
    /// <exception cref="RpcException">A block is neither here nor to be had from others, or another call released some meanwhile.</exception>
    public async Task HoldAsync(WantedTiles wanted, WeightSupply supply, HoldState state, CancellationToken cancel)
    {
        state.Total = wanted.Blocks.Sum(Bytes);
        await _holding.WaitAsync(cancel);
        try
        {
            await FetchAsync(wanted, supply, state.AddFetched, cancel);
            var blocks = wanted.Blocks.Where(block => !tiles.Holds(block)).ToArray();
            CheckMemory(blocks);
            state.AddDone(state.Total - blocks.Sum(Bytes));
            await BackgroundThread.Run(() => Take(wanted, blocks, (runs, check) =>
            {
                var onDevice = HoldOnDevice(runs, cancel);
                try
                {
                    var how = memory.For(tiles.Bytes + runs.Sum(run => run.Bytes));
                    foreach (var run in runs)
                    {
                        cancel.ThrowIfCancellationRequested();
                        if (!onDevice.Contains(run))
                            run.Load(how, cancel);
                        check?.Invoke(run, cancel);
                        state.AddDone(run.Bytes);
                    }
                }
                catch
                {
                    Device?.Release([.. blocks.Select(block => (block.Layer, block.Expert, block.Block))]);
                    throw;
                }
            }));
            await FreeGivenUpAsync();
            if (!wanted.Blocks.All(tiles.Holds))
                throw new RpcException(GrpcStatusCode.Aborted, "some of these blocks were released while others were loaded; ask again");
        }
        finally
        {
            _holding.Release();
        }
    }

    /// <summary>
    /// Lets go of blocks. Calls that came before are answered with them; then no call finds them any more; and when the last
    /// call that did is answered, their memory goes back to the system. Goes on where the caller does not wait for it.
    /// </summary>
    public async Task ReleaseAsync(IReadOnlyCollection<BlockRange> ranges)
    {
        await _releasing.WaitAsync();
        try
        {
            await calls.WhenAnsweredAsync();
            DroppedBlocks dropped;
            lock (_changing)
                dropped = tiles.Remove(ranges);
            await calls.WhenAnsweredAsync();
            dropped.Free();
            Device?.Release(dropped.Blocks);
            await FreeGivenUpAsync();
        }
        finally
        {
            _releasing.Release();
        }
    }

    /// <summary>Opens blocks, brings them into memory, and holds them if all of that went well.</summary>
    /// <param name="load">Given the runs, and what looks at each that is in memory; null: nobody does.</param>
    private void Take(WantedTiles wanted, IReadOnlyList<BlockId> blocks, Action<IReadOnlyList<ExpertTile>, Action<ExpertTile, CancellationToken>?> load)
    {
        var runs = new List<ExpertTile>();
        var hashes = new Dictionary<ExpertTile, string[]>();
        try
        {
            Open(blocks, wanted.Sha256, runs, hashes);
            load(runs, verify ? (run, cancel) => run.Check(hashes[run], cancel) : null);
        }
        catch
        {
            foreach (var run in runs)
                run.Dispose();
            throw;
        }
        var taken = blocks.ToHashSet();
        lock (_changing)
            tiles.Add(runs, wanted.Ranges.SelectMany(range => Slices(range, taken)));
    }

    /// <summary>Blocks that follow one another in a file share one piece of memory.</summary>
    private void Open(IReadOnlyList<BlockId> blocks, IReadOnlyDictionary<BlockId, string> sha256, List<ExpertTile> runs, Dictionary<ExpertTile, string[]> hashes)
    {
        var found = blocks.Select(block => local.Find(block, sha256.GetValueOrDefault(block)) ?? throw NotHere(block)).ToArray();
        for (int start = 0, next; start < found.Length; start = next)
        {
            for (next = start + 1; next < found.Length && found[next - 1].IsFollowedBy(found[next]); next++)
            {
            }
            runs.Add(tiles.Model.OpenTile(found[start], found[next - 1].Id.Block + 1));
            hashes.Add(runs[^1], [.. found[start..next].Select(block => block.Sha256)]);
        }
    }

    /// <summary>The parts of a range that were taken now; each block goes to the first range that names it.</summary>
    private IEnumerable<ExpertSlice> Slices(BlockRange range, HashSet<BlockId> taken)
    {
        var start = range.FirstBlock;
        for (var block = start; block <= range.EndBlock; block++)
            if (block == range.EndBlock || !taken.Remove(new BlockId(range.Layer, range.Expert, block)))
            {
                if (block > start)
                    yield return tiles.Model.ExpertLayout.Slice(range.Layer, range.Expert, start, block);
                start = block + 1;
            }
    }

    /// <exception cref="ResourceException">The device fails.</exception>
    private HashSet<ExpertTile> HoldOnDevice(IReadOnlyList<ExpertTile> runs, CancellationToken cancel)
    {
        try
        {
            return Device?.Hold(runs, cancel).ToHashSet() ?? [];
        }
        catch (CudaException e)
        {
            throw new ResourceException($"worker {id}: {e.Message}");
        }
    }

    /// <summary>Frees what the device has twice, because it moved what it holds, when no call uses it any more.</summary>
    private async Task FreeGivenUpAsync()
    {
        if (Device?.GivenUp() is not { Count: > 0 } buffers)
            return;
        await calls.WhenAnsweredAsync();
        foreach (var buffer in buffers)
            buffer.Dispose();
    }

    private void CheckMemory(IEnumerable<BlockId> blocks)
    {
        // What goes to a device needs none here.
        var more = Math.Max(0, blocks.Sum(Bytes) - (Device?.Room ?? 0));
        // What is held already is no longer available.
        MemoryBudget.Check($"worker {id}", memoryLimit is null ? more : tiles.Bytes + more, memoryLimit);
    }

    private long Bytes(BlockId block) => tiles.Model.ExpertLayout.Blocks[block.Block].Bytes;

    private ModelException NotHere(BlockId block) => new($"{tiles.Model.Directory}: does not hold {block}; import that share here");
}
