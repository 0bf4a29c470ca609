namespace Grok1Cluster.Kernels.Cuda.Tests.Emulator;

/// <summary>The kernel files as they are in the assembly, in a folder for a compiler that reads files.</summary>
internal sealed class KernelFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-kernels-");

    public KernelFolder()
    {
        foreach (var file in KernelSources.Files.Concat(KernelSources.Headers))
            File.WriteAllText(System.IO.Path.Combine(_folder.FullName, file), KernelSources.Read(file));
    }

    public string Path => _folder.FullName;

    public void Dispose() => _folder.Delete(recursive: true);
}
