using System.Runtime.ExceptionServices;

namespace Grok1Cluster.Model.Store;

/// <summary>Work on many files at a time.</summary>
internal static class StoreWork
{
    /// <summary>Runs <paramref name="body"/> for 0 to <paramref name="count"/> - 1; what one of them throws comes out as it is.</summary>
    public static void ForEach(int count, int threads, CancellationToken cancel, Action<int> body)
    {
        try
        {
            Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = Math.Max(1, threads), CancellationToken = cancel }, body);
        }
        catch (AggregateException e)
        {
            var inner = e.Flatten().InnerExceptions;
            ExceptionDispatchInfo.Throw(inner.FirstOrDefault(one => one is not OperationCanceledException) ?? inner[0]);
        }
    }
}
