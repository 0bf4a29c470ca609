namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>What a call should be answered, bit for bit, by what others answered in a flight. Used again.</summary>
internal sealed class ExpectedReply
{
    private byte[] _values = [];

    /// <summary>By bundle and row of the reply: whether somebody else answered it.</summary>
    private bool[] _known = [];
    private int _rowBytes;
    private int _rows;

    /// <summary>Copies the answers to the bundles of a call that was filled from the same batch.</summary>
    public void Take(LayerFlight flight, WorkerCall call)
    {
        var bundles = call.Route.Bundles;
        _rowBytes = flight.Width * (flight.Batch.Input.Format == Kernels.Formats.ActivationFormat.Float32 ? sizeof(float) : sizeof(ushort));
        _rows = bundles.Count * call.Rows;
        if (_known.Length < _rows)
            _known = new bool[_rows];
        if (_values.Length < _rows * _rowBytes)
            _values = new byte[_rows * _rowBytes];
        _known.AsSpan(0, _rows).Clear();
        for (var place = 0; place < bundles.Count; place++)
        {
            var (source, sourcePlace) = flight.Sources[bundles[place].Index];
            for (var row = 0; row < flight.Batch.Rows; row++)
                if (source is not null && call.ReplyRow(row) is var mine && mine >= 0 && source.ReplyRow(row) is var theirs && theirs >= 0)
                {
                    _known[place * call.Rows + mine] = true;
                    source.Result!.Values.Slice((sourcePlace * source.Rows + theirs) * _rowBytes, _rowBytes).CopyTo(_values.AsSpan((place * call.Rows + mine) * _rowBytes));
                }
        }
    }

    /// <summary>Whether an answer has the same bits wherever somebody else answered.</summary>
    /// <param name="reply">Of the length that the call asks for.</param>
    public bool IsSame(ReadOnlySpan<byte> reply)
    {
        for (var row = 0; row < _rows; row++)
            if (_known[row] && !reply.Slice(row * _rowBytes, _rowBytes).SequenceEqual(_values.AsSpan(row * _rowBytes, _rowBytes)))
                return false;
        return true;
    }
}
