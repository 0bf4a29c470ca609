namespace Grok1Cluster.Model;

/// <summary>Questions to ask of a path before it is opened.</summary>
internal static class ModelFile
{
    /// <summary>
    /// Bytes in the regular file at <paramref name="path"/>, links followed. Never opens it: opening a pipe would wait for ever,
    /// and pipes and devices show themselves here by having no length.
    /// </summary>
    /// <exception cref="ModelException">Nothing there, a directory, or no length.</exception>
    public static long Length(string path)
    {
        var file = new FileInfo(path);
        if (!file.Exists)
            throw new ModelException(Directory.Exists(path) ? $"{path}: is a directory, a file is expected" : $"{path}: no such file");
        var target = file.LinkTarget is null ? file : (FileInfo?)file.ResolveLinkTarget(returnFinalTarget: true) ?? file;
        if (target.Length == 0)
            throw new ModelException($"{path}: is empty; fetch it again from where it came from");
        return target.Length;
    }
}
