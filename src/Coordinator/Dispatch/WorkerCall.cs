using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>One call of a layer: the tokens that a worker's bundles need, on their way out, and the answer. Used again with its flight.</summary>
internal sealed unsafe class WorkerCall(LayerFlight flight) : ICallTarget
{
    /// <summary>The reply's row of each row of the batch; -1 for those that were not sent.</summary>
    private int[] _replyRows = [];
    private int[] _rows = [];
    private int _count;
    private ReductionAxis _axis = null!;
    private long _started, _sent, _received;
    private bool _ended;

    public CallFrame Frame { get; } = new();

    public WorkerConnection Worker { get; private set; } = null!;

    public WorkerRoute Route { get; private set; } = null!;

    /// <summary>Whether there is an answer or a fault; set after both.</summary>
    public bool IsEnded => Volatile.Read(ref _ended);

    /// <summary>The answer, once it is there.</summary>
    public ResultFrame? Result { get; private set; }

    /// <summary>Why there will be none.</summary>
    public CallFault? Fault { get; private set; }

    /// <summary>Whether it was seen to be late.</summary>
    public bool IsLate { get; set; }

    /// <summary>Rows that were sent.</summary>
    public int Rows => _count;

    /// <summary>From sending to the answer.</summary>
    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_started, _received);

    /// <summary>From sending until now.</summary>
    public TimeSpan Waiting => Stopwatch.GetElapsedTime(_started);

    /// <summary>What was measured of an answered call.</summary>
    public CallTiming Timing => new(_started, _sent, _received, Result!.QueueUs, Result.ComputeUs, _count, Frame.Measure(), Result.Measure());

    /// <summary>Row of the reply that belongs to a row of the batch, or -1.</summary>
    public int ReplyRow(int row) => _replyRows[row];

    /// <summary>Fills the call with the tokens of a batch that need a route.</summary>
    /// <returns>False when none does.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Fill(ExpertBatch batch, WorkerRoute route)
    {
        (Route, Result, Fault, _ended, IsLate, _count) = (route, null, null, false, false, 0);
        if (_replyRows.Length < batch.Rows)
            (_replyRows, _rows) = (new int[2 * batch.Rows], new int[2 * batch.Rows]);
        var k = batch.ExpertsPerToken;
        for (var row = 0; row < batch.Rows; row++)
        {
            var needed = route.ServesAll || route.Serves(batch.Experts.Slice(row * k, k));
            _replyRows[row] = needed ? _count : -1;
            if (needed)
                _rows[_count++] = row;
        }
        if (_count == 0)
            return false;
        var input = batch.Input;
        _axis = input.Axis;
        var exact = input.Format == ActivationFormat.Float32;
        var activationBytes = input.Axis.PaddedLength * (exact ? sizeof(float) : sizeof(sbyte));
        var scaleBytes = exact ? 0 : input.Axis.BlockCount * sizeof(float);
        var outliers = 0;
        for (var i = 0; i < _count; i++)
            outliers += input.CountOutliers(_rows[i]);
        Frame.Resize(_count * activationBytes, _count * scaleBytes, _count * k, _count * k * sizeof(float), outliers * sizeof(RowOutlier));
        Gather(exact ? (byte*)input.Floats : (byte*)input.Values, activationBytes, Frame.Activations);
        Gather((byte*)input.Scales, scaleBytes, Frame.Scales);
        if (outliers > 0)
            GatherOutliers(input);
        var experts = Frame.Experts;
        var gates = MemoryMarshal.Cast<byte, float>(Frame.Gates);
        for (var i = 0; i < _count; i++)
            for (var j = 0; j < k; j++)
            {
                experts[i * k + j] = (byte)batch.Experts[_rows[i] * k + j];
                gates[i * k + j] = batch.Gates[_rows[i] * k + j];
            }
        Frame.Layer = (uint)batch.Layer;
        Frame.Tokens = (uint)_count;
        Frame.Bundles = route.Encoded;
        Frame.ActivationFormat = exact ? TensorFormat.Float32 : TensorFormat.Int8Blocks;
        Frame.ResultFormat = exact ? TensorFormat.Float32 : TensorFormat.Bfloat16;
        Frame.Priority = batch.IsDecode ? Priority.Decode : Priority.Bulk;
        Frame.Checksum = Crc32C.Compute(Frame.Payload);
        return true;
    }

    /// <summary>The same rows for a worker that holds the same bundles, once the call has ended.</summary>
    public void Reroute(WorkerRoute route) => (Route, Result, Fault, _ended, IsLate) = (route, null, null, false, false);

    public void Send(WorkerConnection worker)
    {
        if (worker.Description.Protocol < ExpertMethods.FirstWithOutliers && !Frame.Outliers.IsEmpty)
            OutlierFold.Apply(Frame, _axis);
        (Worker, _started, _sent) = (worker, Stopwatch.GetTimestamp(), 0);
        worker.Send(this);
        _sent = Stopwatch.GetTimestamp();
    }

    /// <summary>Gives the answer's buffer back.</summary>
    public void Release()
    {
        if (Result is { } result)
            Worker.Return(result);
        Result = null;
    }

    void ICallTarget.OnAnswer(ResultFrame result)
    {
        _received = Stopwatch.GetTimestamp();
        if (FindFault(result) is { } fault)
        {
            Fault = fault;
            Worker.Return(result);
        }
        else
        {
            Result = result;
        }
        End();
    }

    void ICallTarget.OnLost(DispatchException cause)
    {
        Fault = new CallFault(CallFaultKind.Lost, cause);
        End();
    }

    private void End()
    {
        var sound = Fault is null;
        Volatile.Write(ref _ended, true);
        flight.OnEnded(sound);
    }

    /// <summary>What is wrong with an answer. Nothing of it is used before.</summary>
    private CallFault? FindFault(ResultFrame result)
    {
        if (result.IsFailure)
            return Wrong(Kind(result.Reason), $"refused a call of layer {Frame.Layer} ({result.Reason}): {result.Message}");
        var expected = (long)Route.Bundles.Count * _count * flight.Width * (Frame.ResultFormat == TensorFormat.Float32 ? sizeof(float) : sizeof(ushort));
        if (result.Values.Length != expected)
            return Wrong(CallFaultKind.Faulty, $"sent {result.Values.Length} bytes for layer {Frame.Layer}, {expected} are expected");
        if (Crc32C.Compute(result.Values) != result.Checksum)
            return Wrong(CallFaultKind.Faulty, $"sent an answer for layer {Frame.Layer} that does not have its checksum");
        return AreFinite(result.Values) ? null : Wrong(CallFaultKind.Faulty, $"sent an answer for layer {Frame.Layer} with values that are not finite");
    }

    private CallFault Wrong(CallFaultKind kind, string what) => new(kind, new DispatchException($"worker {Worker.Id} at {Worker.Address} {what}"));

    private static CallFaultKind Kind(CallFailure.Types.Reason reason) => reason switch
    {
        CallFailure.Types.Reason.NotHeld => CallFaultKind.NotHeld,
        CallFailure.Types.Reason.Invalid or CallFailure.Types.Reason.OtherWeights => CallFaultKind.Final,
        _ => CallFaultKind.Faulty,
    };

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool AreFinite(ReadOnlySpan<byte> values)
    {
        if (Frame.ResultFormat == TensorFormat.Float32)
        {
            foreach (var value in MemoryMarshal.Cast<byte, float>(values))
                if (!float.IsFinite(value))
                    return false;
            return true;
        }
        const ushort exponent = 0x7F80;
        var found = Vector256<ushort>.Zero;
        var halves = MemoryMarshal.Cast<byte, ushort>(values);
        var bits = Vector256.Create(exponent);
        for (; halves.Length >= Vector256<ushort>.Count; halves = halves[Vector256<ushort>.Count..])
            found |= Vector256.Equals(Vector256.Create(halves) & bits, bits);
        foreach (var half in halves)
            if ((half & exponent) == exponent)
                return false;
        return found == Vector256<ushort>.Zero;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Gather(byte* source, int rowBytes, Span<byte> target)
    {
        for (var i = 0; i < _count && rowBytes > 0; i++)
            new ReadOnlySpan<byte>(source + (long)_rows[i] * rowBytes, rowBytes).CopyTo(target[(i * rowBytes)..]);
    }

    private void GatherOutliers(Activations input)
    {
        var target = MemoryMarshal.Cast<byte, RowOutlier>(Frame.Outliers);
        for (var i = 0; i < _count; i++)
        {
            input.CopyOutliers(_rows[i], i, target);
            target = target[input.CountOutliers(_rows[i])..];
        }
    }
}
