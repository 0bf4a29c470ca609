using System.Diagnostics;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>What <c>--json</c> shows of a written store.</summary>
/// <param name="Files">The manifest included.</param>
internal sealed record WrittenStore(int Files, long Bytes, double Seconds);

/// <summary>What verbs that write a store have in common: progress, interruption, result.</summary>
internal static class StoreWriting
{
    /// <param name="write">Writes the store; see <see cref="StoreBuilder"/>.</param>
    /// <returns>The exit code.</returns>
    public static int WriteStore(this VerbContext context, string target, Func<IProgress<StoreProgress>, StoreBuildResult> write)
    {
        var clock = Stopwatch.StartNew();
        StoreBuildResult result;
        try
        {
            using var progress = new StoreProgressBar(Path.GetFileName(StoreStaging.FullPath(target)), context.Output);
            result = write(progress);
        }
        catch (OperationCanceledException)
        {
            if (Directory.Exists(StoreStaging.DirectoryOf(target)))
                context.Output.Note($"what is written so far is kept in {StoreStaging.DirectoryOf(target)}; the same command goes on from there");
            throw;
        }
        var store = new WrittenStore(result.Files, result.Bytes, Math.Round(clock.Elapsed.TotalSeconds, 3));
        if (result.ResumedBytes > 0)
            context.Output.Note($"{ByteSize.Format(result.ResumedBytes)} of it had been written before");
        if (context.Output.Json)
            context.Output.WriteJson(store);
        else
            context.Output.WriteLine($"{target}: {store.Files} files, {ByteSize.Format(store.Bytes)} in {store.Seconds:0.0} s");
        return ExitCodes.Ok;
    }
}
