namespace Grok1Cluster.Model.Store;

/// <summary>What a verification found.</summary>
/// <param name="Files">Files read, the manifest included.</param>
/// <param name="Bytes">Bytes that were read and hashed, manifest apart.</param>
/// <param name="Problems">
/// One line each: the file, the block or tensor, what is wrong, what to do; in file order. Empty when the store is sound.
/// </param>
/// <param name="Unlisted">Problems beyond the <see cref="StoreVerifier.MaxProblems"/> listed.</param>
public sealed record StoreVerification(int Files, long Bytes, IReadOnlyList<string> Problems, int Unlisted)
{
    public bool IsSound => Problems.Count == 0;
}
