namespace Grok1Cluster.Grpc.Http2;

/// <summary>
/// The connections of a server. Those that have not begun (no TLS handshake, no preface) are counted apart from the open ones and
/// give way to each other, so that strangers, however many, take no room from who has shown that it belongs here. Thread-safe.
/// </summary>
/// <param name="maxBeginning">Connections that may be beginning.</param>
/// <param name="maxOpen">Connections that may be open.</param>
internal sealed class Admission(int maxBeginning, int maxOpen)
{
    private readonly Lock _gate = new();

    /// <summary>In the order in which they came.</summary>
    private readonly List<ServerConnection> _beginning = [];

    private readonly HashSet<ServerConnection> _open = [];

    /// <summary>One for each that is beginning, and for as many again that were sent away and whose threads have not ended yet.</summary>
    private readonly SemaphoreSlim _slots = new(2 * maxBeginning);

    private bool _closed;

    /// <summary>Waits until one more connection can be looked after. To be followed by <see cref="TryEnter"/>, or given back by <see cref="GiveBack"/>.</summary>
    public Task TakeSlotAsync(CancellationToken cancellationToken) => _slots.WaitAsync(cancellationToken);

    /// <summary>No connection came of a slot.</summary>
    public void GiveBack() => _slots.Release();

    /// <summary>A connection has come. False if there is no room for it; then it must be closed, and its slot is given back.</summary>
    public bool TryEnter(ServerConnection connection)
    {
        ServerConnection? victim = null;
        lock (_gate)
        {
            if (_closed || _open.Count >= maxOpen)
            {
                GiveBack();
                return false;
            }
            if (_beginning.Count >= maxBeginning)
            {
                victim = ChooseVictim();
                _beginning.Remove(victim);
            }
            _beginning.Add(connection);
        }
        victim?.Abort(new IOException("others wait, and the client has not begun"));
        return true;
    }

    /// <summary>A connection has begun. False if it was sent away before, or there is no room for it.</summary>
    public bool TryOpen(ServerConnection connection)
    {
        lock (_gate)
        {
            if (_open.Count >= maxOpen || !_beginning.Remove(connection))
                return false;
            _open.Add(connection);
        }
        GiveBack();
        return true;
    }

    /// <summary>A connection has ended.</summary>
    public void Leave(ServerConnection connection)
    {
        lock (_gate)
        {
            if (_open.Remove(connection))
                return;
            _beginning.Remove(connection);
        }
        GiveBack();
    }

    /// <summary>Takes no more connections, and returns those that there are.</summary>
    public ServerConnection[] Close()
    {
        lock (_gate)
        {
            _closed = true;
            return [.. _open, .. _beginning];
        }
    }

    /// <summary>Of the address that has most, first one that has sent nothing, then the oldest.</summary>
    private ServerConnection ChooseVictim()
    {
        var crowded = _beginning.CountBy(connection => connection.PeerAddress).MaxBy(address => address.Value).Key;
        var candidates = _beginning.Where(connection => connection.PeerAddress.Equals(crowded));
        return candidates.FirstOrDefault(connection => !connection.HasReceived) ?? candidates.First();
    }
}
