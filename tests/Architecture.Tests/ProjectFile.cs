using System.Xml.Linq;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Architecture.Tests;

/// <summary>A project as its file declares it.</summary>
/// <param name="Path">From the repository's root, with forward slashes.</param>
/// <param name="References">Names of the projects it references.</param>
/// <param name="Frameworks">Shared frameworks it asks for, beyond the base one.</param>
internal sealed record ProjectFile(string Name, string Path, IReadOnlyList<string> References, IReadOnlyList<string> Frameworks)
{
    /// <summary>Every project below <paramref name="folder"/> (<c>src</c> or <c>tests</c>).</summary>
    public static IReadOnlyList<ProjectFile> Below(string folder) =>
        [.. Directory.GetFiles(System.IO.Path.Combine(Repository.Root, folder), "*.csproj", SearchOption.AllDirectories).Order().Select(Load)];

    private static ProjectFile Load(string file)
    {
        var xml = XDocument.Load(file);
        return new ProjectFile(
            System.IO.Path.GetFileNameWithoutExtension(file),
            System.IO.Path.GetRelativePath(Repository.Root, file).Replace('\\', '/'),
            [.. Includes(xml, "ProjectReference").Select(path => System.IO.Path.GetFileNameWithoutExtension(path.Replace('\\', '/')))],
            [.. Includes(xml, "FrameworkReference")]);
    }

    private static IEnumerable<string> Includes(XDocument xml, string element) =>
        xml.Descendants(element).Select(node => node.Attribute("Include")?.Value).OfType<string>();
}
