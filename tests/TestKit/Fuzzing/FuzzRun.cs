using Xunit;

namespace Grok1Cluster.TestKit.Fuzzing;

/// <summary>What a reader may do with any input at all: take it, or throw what it says it throws; in memory that the input's size bounds; and come to an end.</summary>
public sealed record FuzzRun
{
    /// <summary>Set to 100, runs take a hundred times as many inputs: for a night, not for the suite.</summary>
    private const string TimesVariable = "GROK1_FUZZ_TIMES";

    private static readonly int Times = int.TryParse(Environment.GetEnvironmentVariable(TimesVariable), out var times) ? times : 1;

    /// <summary>For a whole run; never reached unless a reader hangs.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2) * Times;

    /// <summary>Folder of <c>tests/data/fuzz</c> with the inputs to start from. Those whose names begin with <c>sound</c> are taken as they are.</summary>
    public required string Reader { get; init; }

    /// <summary>Inputs to make and read.</summary>
    public required int Inputs { get; init; }

    /// <summary>Decides which.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Whether the reader says that it throws this.</summary>
    public required Func<Exception, bool> Refuses { get; init; }

    /// <summary>Bytes that may be allocated whatever the input.</summary>
    public long AllocationFloor { get; init; } = 256 << 10;

    /// <summary>Bytes that may be allocated for each byte of the input.</summary>
    public int AllocationFactor { get; init; } = 64;

    /// <summary>More inputs to start from, which are taken as they are.</summary>
    public IReadOnlyList<byte[]> Sound { get; init; } = [];

    /// <summary>Whether what is called sound is so for this reader; false where it borrows the corpus of another.</summary>
    public bool SoundNames { get; init; } = true;

    /// <summary>The committed inputs of a reader, by name.</summary>
    public static IReadOnlyList<(string Name, byte[] Bytes)> Corpus(string reader) =>
        [.. Directory.GetFiles(Path.Combine(Repository.TestData, "fuzz", reader)).Order(StringComparer.Ordinal).Select(path => (Path.GetFileName(path), File.ReadAllBytes(path)))];

    /// <summary>Reads the corpus and then what the <see cref="Mutator"/> makes of it.</summary>
    public void Check(Action<byte[]> read)
    {
        var corpus = Corpus(Reader);
        var inputs = Inputs * Times;
        var now = "the corpus";
        // On a thread of its own: a reader that hangs shall fail the test, and not hang the run.
        var done = Task.Factory.StartNew(() =>
        {
            foreach (var (name, bytes) in corpus)
                Assert.True(TryRead(read, bytes, now = name) || !SoundNames || !name.StartsWith("sound", StringComparison.Ordinal), $"{Reader}/{name} is refused");
            foreach (var bytes in Sound)
                Assert.True(TryRead(read, bytes, "sound input"), $"{Reader}: an input of the test is refused");
            var mutator = new Mutator(Seed, [.. corpus.Select(input => input.Bytes), .. Sound]);
            var refused = 0;
            for (var i = 0; i < inputs; i++)
            {
                now = $"input {i} of seed {Seed}";
                refused += TryRead(read, mutator.Next(), now) ? 0 : 1;
            }
            // A run that refuses nothing does not test what it is for.
            Assert.InRange(refused, Inputs / 100, inputs);
        }, TaskCreationOptions.LongRunning);
        Assert.True(Task.WaitAny([done], Patience) == 0, $"{Reader}: the reader hangs at {now}");
        done.GetAwaiter().GetResult();
    }

    private bool TryRead(Action<byte[]> read, byte[] input, string name)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var taken = true;
        try
        {
            read(input);
        }
        catch (Exception e) when (Refuses(e))
        {
            taken = false;
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{Reader}: {name} makes the reader throw what it does not say: {Shown(input)}", e);
        }
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated <= AllocationFloor + (long)AllocationFactor * input.Length, $"{Reader}: {name} of {input.Length} bytes makes the reader allocate {allocated}: {Shown(input)}");
        return taken;
    }

    private static string Shown(byte[] input) => Convert.ToBase64String(input.AsSpan(0, Math.Min(input.Length, 3000)));
}
