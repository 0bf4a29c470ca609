using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Tests;

public class ComputePoolTests
{
    public static TheoryData<int, bool> Pools
    {
        get
        {
            var data = new TheoryData<int, bool>();
            foreach (int threads in new[] { 1, 2, 3, 7 })
                foreach (bool spin in new[] { true, false })
                    data.Add(threads, spin);
            return data;
        }
    }

    [Theory, MemberData(nameof(Pools))]
    public void Every_part_of_every_job_runs_exactly_once(int threads, bool spin)
    {
        using var pool = new ComputePool(threads, spin);
        var job = new CountingJob(100);
        for (int run = 0; run < 3000; run++)
        {
            int parts = run % 101;
            pool.Run(job, parts);
            for (int part = 0; part < job.Runs.Length; part++)
                Assert.Equal(part < parts ? 1 : 0, job.Runs[part]);
            Array.Clear(job.Runs);
        }
    }

    [Fact]
    public void Parts_run_at_the_same_time()
    {
        using var pool = new ComputePool(3, spin: false);
        using var all = new Barrier(3);
        pool.Run(new ActionJob(_ => Assert.True(all.SignalAndWait(TimeSpan.FromSeconds(30)))), 3);
    }

    [Theory, MemberData(nameof(Pools))]
    public void An_exception_reaches_the_caller_after_all_parts_stopped_and_the_pool_goes_on(int threads, bool spin)
    {
        using var pool = new ComputePool(threads, spin);
        for (int run = 0; run < 200; run++)
        {
            int inside = 0;
            var job = new ActionJob(part =>
            {
                Interlocked.Increment(ref inside);
                try
                {
                    if (part % 5 == 3)
                        throw new FormatException($"part {part}");
                }
                finally
                {
                    Interlocked.Decrement(ref inside);
                }
            });
            var error = Assert.Throws<FormatException>(() => pool.Run(job, 20));
            Assert.StartsWith("part ", error.Message);
            Assert.Equal(0, inside);
            var next = new CountingJob(20);
            pool.Run(next, 20);
            Assert.All(next.Runs, runs => Assert.Equal(1, runs));
        }
    }

    [Theory, MemberData(nameof(Pools))]
    public void Running_a_job_allocates_nothing(int threads, bool spin)
    {
        using var pool = new ComputePool(threads, spin);
        var job = new CountingJob(16);
        for (int run = 0; run < 200; run++)
            pool.Run(job, 16);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int run = 0; run < 2000; run++)
            pool.Run(job, 16);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_part_that_runs_a_job_on_its_own_pool_is_refused(int threads)
    {
        using var pool = new ComputePool(threads, spin: true);
        var nested = new ActionJob(_ => pool.Run(new CountingJob(4), 4));
        Assert.Contains("one caller at a time", Assert.Throws<InvalidOperationException>(() => pool.Run(nested, 4)).Message);
        var disposing = new ActionJob(_ => pool.Dispose());
        Assert.Throws<InvalidOperationException>(() => pool.Run(disposing, 4));
    }

    [Fact]
    public void A_second_caller_is_refused()
    {
        using var pool = new ComputePool(2, spin: false);
        using var entered = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        var first = new Thread(() => pool.Run(new ActionJob(_ =>
        {
            entered.Set();
            release.Wait();
        }), 2));
        first.Start();
        entered.Wait();
        Assert.Throws<InvalidOperationException>(() => pool.Run(new CountingJob(1), 1));
        release.Set();
        first.Join();
        pool.Run(new CountingJob(1), 1);
    }

    [Fact]
    public void Dispose_ends_the_threads_and_may_be_called_again()
    {
        var threads = new HashSet<Thread>();
        var pool = new ComputePool(3, spin: true);
        using var all = new Barrier(3);
        pool.Run(new ActionJob(_ =>
        {
            lock (threads)
                threads.Add(Thread.CurrentThread);
            all.SignalAndWait();
        }), 3);
        threads.Remove(Thread.CurrentThread);
        Assert.Equal(2, threads.Count);
        Assert.All(threads, thread => Assert.StartsWith("compute-", thread.Name));
        pool.Dispose();
        pool.Dispose();
        Assert.All(threads, thread => Assert.False(thread.IsAlive));
        Assert.Throws<ObjectDisposedException>(() => pool.Run(new CountingJob(1), 1));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(ComputePool.MaxThreads + 1)]
    public void A_wrong_number_of_threads_is_refused(int threads) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new ComputePool(threads, spin: false));

    private sealed class CountingJob(int most) : IComputeJob
    {
        public int[] Runs { get; } = new int[most];

        public void Execute(int part) => Interlocked.Increment(ref Runs[part]);
    }

    private sealed class ActionJob(Action<int> action) : IComputeJob
    {
        public void Execute(int part) => action(part);
    }
}
