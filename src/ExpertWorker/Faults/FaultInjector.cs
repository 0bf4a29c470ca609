using System.Diagnostics;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.ExpertWorker.Faults;

/// <summary>
/// Does wrong what a worker was told to, so that what a cluster does about it can be seen: for tests and for operators. A
/// worker that was told nothing has no injector. Used by the computing thread.
/// </summary>
public sealed class FaultInjector : IDisposable
{
    private readonly FaultState[] _faults;
    private readonly Random _random;

    // Waited for instead of sleeping, so that a stalled worker can still be ended.
    private readonly ManualResetEventSlim _ended = new();

    private FaultInjector(IEnumerable<FaultRule> rules, int seed) =>
        (_faults, _random) = ([.. rules.Select(rule => new FaultState(rule))], new Random(seed));

    /// <summary>The injector for a worker; null where no rule is for it.</summary>
    /// <param name="rules">What was asked for.</param>
    /// <param name="worker">The worker's id.</param>
    /// <param name="seed">Decides what happens by chance.</param>
    public static FaultInjector? Create(IEnumerable<FaultRule> rules, string worker, int seed)
    {
        FaultRule[] mine = [.. rules.Where(rule => rule.Worker is null || rule.Worker == worker)];
        return mine.Length == 0 ? null : new FaultInjector(mine, seed);
    }

    /// <summary>The rules, in the words of their grammar.</summary>
    public string Description => string.Join(" + ", _faults.Select(fault => FaultText.Describe(fault.Rule)));

    /// <summary>A sound call is about to be computed: decides what becomes of it; stalls and crashes happen here.</summary>
    public void Begin()
    {
        foreach (var fault in _faults)
        {
            fault.Decide(_random);
            if (!fault.IsDue)
                continue;
            if (fault.Rule.Kind == FaultKind.Crash)
                Process.GetCurrentProcess().Kill();
            if (fault.Rule.Kind == FaultKind.Stall)
                Wait(fault.Rule.Time ?? Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>The call was computed: what is due happens to its answer.</summary>
    /// <param name="call">The call.</param>
    /// <param name="result">The answer, with its checksum.</param>
    /// <param name="computed">What the computation took.</param>
    /// <returns>Whether there is an answer.</returns>
    public bool End(CallFrame call, ResultFrame result, TimeSpan computed)
    {
        var answers = true;
        foreach (var fault in _faults)
            if (fault.IsDue)
                switch (fault.Rule.Kind)
                {
                    case FaultKind.Delay:
                        Wait(fault.Rule.Factor is { } factor ? computed * (factor - 1) : fault.Rule.Time!.Value);
                        break;
                    case FaultKind.Drop:
                        answers = false;
                        break;
                    case FaultKind.Internal:
                        (result.Reason, result.Message) = (CallFailure.Types.Reason.Internal, "an injected fault");
                        result.Resize(0);
                        break;
                    default:
                        Alter(fault.Rule.Kind, call, result);
                        break;
                }
        return answers;
    }

    public void Dispose() => _ended.Set();

    private static void Alter(FaultKind kind, CallFrame call, ResultFrame result)
    {
        var values = result.Values;
        if (values.IsEmpty)
            return;
        switch (kind)
        {
            case FaultKind.Corrupt:
                values[values.Length / 2] ^= 1;
                return;
            case FaultKind.Wrong:
                // The sign of the first value that has one: finite as before.
                for (var at = Width(call) - 1; at < values.Length; at += Width(call))
                    if ((values[at] & 0x7F) != 0)
                    {
                        values[at] ^= 0x80;
                        break;
                    }
                break;
            case FaultKind.NaN when call.ResultFormat == TensorFormat.Float32:
                MemoryMarshal.Write(values, float.NaN);
                break;
            case FaultKind.NaN:
                MemoryMarshal.Write(values, (ushort)0x7FC0);
                break;
            case FaultKind.Shape:
                result.Resize(values.Length - Width(call));
                break;
        }
        result.Checksum = Crc32C.Compute(result.Values);
    }

    /// <summary>Bytes of a value; its last has the sign.</summary>
    private static int Width(CallFrame call) => call.ResultFormat == TensorFormat.Float32 ? sizeof(float) : sizeof(ushort);

    private void Wait(TimeSpan time)
    {
        if (time > TimeSpan.Zero || time == Timeout.InfiniteTimeSpan)
            _ended.Wait(time);
    }

    /// <summary>A rule and how often it was looked at.</summary>
    private sealed class FaultState(FaultRule rule)
    {
        private long _calls;
        private long _done;

        public FaultRule Rule => rule;

        /// <summary>Whether it happens to the present call.</summary>
        public bool IsDue { get; private set; }

        public void Decide(Random random)
        {
            var number = _calls++ - rule.After;
            IsDue = number >= 0 && (number + 1) % rule.Every == 0 && _done < rule.Times && (rule.Chance >= 1 || random.NextDouble() < rule.Chance);
            if (IsDue)
                _done++;
        }
    }
}
