using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Weights.Fetching;

/// <summary>What sources say a model is, before any weight of it is here.</summary>
/// <param name="Directory">Where its manifest is now: <c>CACHE/FINGERPRINT</c>.</param>
/// <param name="Sha256">Of every expert block that one of them says it has.</param>
public sealed record ModelDescription(string Directory, IReadOnlyDictionary<BlockId, string> Sha256)
{
    /// <summary>Asks every source for its manifest, and keeps the one that names most blocks.</summary>
    /// <param name="sources">gRPC addresses; those that cannot be reached are left out, as long as one can.</param>
    /// <param name="cacheRoot">Directory for the caches of all models.</param>
    /// <param name="note">Told in a line of each that is left out.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="Grpc.RpcException">None can be reached.</exception>
    /// <exception cref="ModelException">They are of different models, differ in a block, or one sends no manifest.</exception>
    public static async Task<ModelDescription> FetchAsync(IReadOnlyCollection<string> sources, string cacheRoot, NodeCredentials? tls, Action<string> note, CancellationToken cancel)
    {
        var manifests = await ManifestTransfer.FetchAllAsync(sources, tls, note, cancel);
        var (first, sha256) = (manifests[0], new Dictionary<BlockId, string>());
        foreach (var (address, _, manifest) in manifests)
        {
            if (manifest.Fingerprint != first.Manifest.Fingerprint)
                throw new ModelException($"{address} has the model {manifest.Fingerprint[..16]}, {first.Address} has {first.Manifest.Fingerprint[..16]}; name sources of one model");
            foreach (var (id, hash) in manifest.Experts.SelectMany(expert => expert.Blocks()))
                if (!sha256.TryAdd(id, hash) && sha256[id] != hash)
                    throw new ModelException($"{address} says that {id} is {hash[..16]}, another source that it is {sha256[id][..16]}; one of them is damaged (grok1 verify)");
        }
        var fullest = manifests.MaxBy(manifest => manifest.Manifest.Experts.Sum(expert => expert.BlockSha256.Count));
        var directory = Path.Combine(cacheRoot, first.Manifest.Fingerprint);
        Save(directory, fullest.Bytes);
        return new ModelDescription(directory, sha256);
    }

    /// <summary>Writes aside and renames, so that whoever else looks sees all of one or all of the other.</summary>
    private static void Save(string directory, byte[] manifest)
    {
        System.IO.Directory.CreateDirectory(directory);
        var path = Path.Combine(directory, StoreManifest.FileName);
        if (File.Exists(path) && new FileInfo(path).Length >= manifest.Length)
            return;
        var aside = $"{path}.{Environment.ProcessId}.tmp";
        File.WriteAllBytes(aside, manifest);
        File.Move(aside, path, overwrite: true);
    }
}
