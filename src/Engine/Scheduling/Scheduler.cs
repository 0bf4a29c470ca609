using Grok1Cluster.Engine.Kv;

namespace Grok1Cluster.Engine.Scheduling;

/// <summary>
/// Decides what each step computes; touches sequences and KV blocks, never tensors. Every decoding sequence gets its row
/// in every step. What is left of the step's time goes to prefill in equal shares, so that a short prompt is not held up
/// by a long one. When KV memory runs out, the sequence that came last gives its blocks back and is computed again later.
/// </summary>
internal sealed class Scheduler(KvBlockPool pool, EngineOptions options)
{
    /// <summary>A step of prompts alone may be longer than was asked for by one row in so many, if that is the end of them.</summary>
    private const int LongerByOneIn = 4;

    private readonly LinkedList<Sequence> _waiting = new();
    private readonly List<Sequence> _running = [];
    private readonly List<Sequence> _step = [];
    private readonly StepClock _clock = new();

    public int Waiting => _waiting.Count;

    /// <summary>Sequences that hold KV blocks, in order of arrival.</summary>
    public IReadOnlyList<Sequence> Running => _running;

    /// <summary>Times a sequence had to give back its KV blocks.</summary>
    public long Preemptions { get; private set; }

    /// <summary>Prompt tokens found in the prefix cache.</summary>
    public long CachedTokens { get; private set; }

    public void Add(Sequence sequence) => _waiting.AddLast(sequence);

    /// <summary>Takes a sequence out, wherever it is.</summary>
    public void Remove(Sequence sequence)
    {
        if (!_running.Remove(sequence))
            _waiting.Remove(sequence);
        sequence.Dispose();
    }

    /// <summary>All sequences, running and waiting, into a list.</summary>
    public void CopyTo(List<Sequence> all)
    {
        all.AddRange(_running);
        all.AddRange(_waiting);
    }

    /// <summary>The sequences of the next step, each with its <see cref="Sequence.Scheduled"/> rows and blocks for them; may be empty.</summary>
    public IReadOnlyList<Sequence> Schedule()
    {
        Admit();
        _step.Clear();
        ScheduleDecode();
        SchedulePrefill();
        return _step;
    }

    /// <summary>Learns how long a step took.</summary>
    public void StepDone(int rows, TimeSpan elapsed) => _clock.Learn(rows, elapsed);

    private void Admit()
    {
        for (var node = _waiting.First; node is not null && _running.Count < options.MaxRunning;)
        {
            var sequence = node.Value;
            var following = node.Next;
            if (sequence.Leader is not { PromptDone: false })
            {
                // A first chunk must fit, or the sequence would push out those that run.
                if (_running.Count > 0 && KvBlockPool.BlocksFor(Math.Min(sequence.Tokens.Length, options.MaxRows)) > pool.Available)
                    return;
                _waiting.Remove(node);
                CachedTokens += sequence.Start();
                _running.Add(sequence);
            }
            node = following;
        }
    }

    private void ScheduleDecode()
    {
        for (var i = 0; i < _running.Count; i++)
        {
            var sequence = _running[i];
            sequence.DropDrafts();
            if (sequence.Pending == 1 && _step.Count < options.MaxRows && !TryScheduleDrafts(sequence))
                TrySchedule(sequence, 1);
        }
    }

    /// <summary>Guesses never cost another sequence its place: they are dropped when memory or rows are short.</summary>
    private bool TryScheduleDrafts(Sequence sequence)
    {
        var drafts = options.DraftTokens == 0 || _step.Count + 1 + options.DraftTokens > options.MaxRows ? 0 : sequence.Draft();
        if (drafts > 0 && sequence.Kv.TryReserve(1 + drafts))
            return TrySchedule(sequence, 1 + drafts);
        sequence.DropDrafts();
        return false;
    }

    private void SchedulePrefill()
    {
        var (prefilling, pending) = (0, 0);
        foreach (var sequence in _running)
            if (sequence.Pending > 1)
                (prefilling, pending) = (prefilling + 1, pending + sequence.Pending);
        if (prefilling == 0)
            return;
        var limit = TimeSpan.FromMilliseconds(_step.Count > 0 ? options.StepMilliseconds : options.PrefillStepMilliseconds);
        var budget = _clock.RowsWithin(limit, _step.Count, options.MaxRows);
        // What little would be left reads all experts once more; where nobody decodes, nobody waits for it either.
        if (_step.Count == 0 && pending - budget <= budget / LongerByOneIn)
            budget = Math.Min(pending, options.MaxRows);
        // The shortest first: what they leave of their share goes to the longer ones.
        foreach (var sequence in _running.Where(sequence => sequence.Pending > 1).OrderBy(sequence => sequence.Pending).ToArray())
        {
            var rows = Math.Min(sequence.Pending, Math.Max(1, budget / prefilling--));
            if (budget > 0 && _running.Contains(sequence) && TrySchedule(sequence, rows))
                budget -= rows;
        }
    }

    private bool TrySchedule(Sequence sequence, int rows)
    {
        while (!sequence.Kv.TryReserve(rows))
            if (!PreemptLastAfter(sequence))
                return false;
        sequence.Scheduled = rows;
        _step.Add(sequence);
        return true;
    }

    /// <summary>Frees the blocks of the sequence that came last, if that is not this one or an earlier one.</summary>
    private bool PreemptLastAfter(Sequence sequence)
    {
        var last = _running[^1];
        if (last == sequence)
        {
            // The last of several waits with what it has; alone, it has all the memory there is.
            if (_running.Count > 1)
                Preempt(last);
            return false;
        }
        Preempt(last);
        return true;
    }

    private void Preempt(Sequence sequence)
    {
        Preemptions++;
        sequence.Kv.Clear();
        _running.Remove(sequence);
        _step.Remove(sequence);
        _waiting.AddFirst(sequence);
    }
}
