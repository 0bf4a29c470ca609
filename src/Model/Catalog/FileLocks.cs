namespace Grok1Cluster.Model.Catalog;

/// <summary>Files that several processes open, told apart from files that cannot be opened.</summary>
public static class FileLocks
{
    /// <summary>EWOULDBLOCK (Linux, macOS) and ERROR_SHARING_VIOLATION.</summary>
    public static bool IsHeld(IOException e) => e.HResult is 11 or 35 or unchecked((int)0x80070020);
}
