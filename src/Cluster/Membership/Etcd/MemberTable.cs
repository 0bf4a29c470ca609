namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>Members by key. One whose key is gone may be kept for a while, because leases end while etcd is away. Not thread-safe.</summary>
internal sealed class MemberTable<T> where T : class
{
    private readonly SortedDictionary<string, (T Value, bool Missing)> _members = new(StringComparer.Ordinal);

    /// <summary>Every member, kept ones included, by key.</summary>
    public IEnumerable<T> Values => _members.Values.Select(member => member.Value);

    /// <summary>These are all now.</summary>
    /// <param name="keep">Whether those that are gone are kept.</param>
    public void Reset(IReadOnlyDictionary<string, T> members, Func<T, bool> keep)
    {
        foreach (var key in _members.Keys.Except(members.Keys).ToList())
            Remove(key, keep);
        foreach (var (key, value) in members)
            Put(key, value);
    }

    public void Put(string key, T value) => _members[key] = (value, false);

    /// <summary>A key is gone.</summary>
    /// <param name="keep">Whether its member is kept.</param>
    public void Remove(string key, Func<T, bool> keep)
    {
        if (!_members.TryGetValue(key, out var member))
            return;
        if (keep(member.Value))
            _members[key] = (member.Value, true);
        else
            _members.Remove(key);
    }

    /// <summary>Whoever was kept is not kept any longer.</summary>
    public void DropMissing()
    {
        foreach (var key in _members.Where(member => member.Value.Missing).Select(member => member.Key).ToList())
            _members.Remove(key);
    }
}
