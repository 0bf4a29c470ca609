using Grok1Cluster.TestKit;

namespace Grok1Cluster.Architecture.Tests;

public sealed class ReferenceDirectionTests
{
    /// <summary>
    /// What a project may see, directly or through others. A new project needs a row here, and with it a decision.
    /// </summary>
    private static readonly Dictionary<string, string[]> MaySee = new()
    {
        ["Kernels"] = [],
        ["Kernels.Cuda"] = ["Kernels"],
        ["Protos"] = [],
        ["Grpc"] = ["Protos"],
        ["Model"] = ["Kernels", "Kernels.Cuda"],
        ["Engine"] = ["Model", "Kernels", "Kernels.Cuda"],
        ["Cluster"] = ["Grpc", "Protos"],
        ["Weights"] = ["Model", "Kernels", "Kernels.Cuda", "Cluster", "Grpc", "Protos"],
        ["ExpertWorker"] = ["Weights", "Model", "Kernels", "Kernels.Cuda", "Cluster", "Grpc", "Protos"],
        ["Coordinator"] = ["Engine", "Weights", "Model", "Kernels", "Kernels.Cuda", "Cluster", "Grpc", "Protos"],
        ["Client"] = [],
        ["Cli"] = ["Coordinator", "ExpertWorker", "Engine", "Weights", "Model", "Kernels", "Kernels.Cuda", "Cluster", "Grpc", "Protos", "Client"],
    };

    /// <summary>The projects that compute know nothing of HTTP.</summary>
    private static readonly string[] BlindToHttp = ["Kernels", "Kernels.Cuda", "Model", "Engine"];

    private static readonly IReadOnlyList<ProjectFile> Sources = ProjectFile.Below("src");

    [Fact]
    public void References_point_only_in_the_directions_of_the_design()
    {
        Assert.NotEmpty(Sources);
        var wrong = Sources.SelectMany(project =>
            MaySee.TryGetValue(project.Name, out var allowed)
                ? Reachable(project).Except(allowed).Select(seen => $"{project.Name} must not see {seen}")
                : [$"{project.Name} has no row in the table of what it may see"]);
        Assert.Empty(wrong);
    }

    [Fact]
    public void No_project_reaches_itself() =>
        Assert.Empty(Sources.Where(project => Reachable(project).Contains(project.Name)).Select(project => project.Name));

    [Fact]
    public void Projects_that_compute_do_not_ask_for_a_web_framework() =>
        Assert.Empty(Sources.Where(project => BlindToHttp.Contains(project.Name) && project.Frameworks.Count > 0).Select(project => project.Name));

    [Fact]
    public void No_source_project_references_a_test_project()
    {
        var tests = ProjectFile.Below("tests").Select(project => project.Name).ToHashSet();
        Assert.Empty(Sources.SelectMany(project => project.References.Where(tests.Contains)));
    }

    [Fact]
    public void Every_project_is_in_the_solution()
    {
        var solution = File.ReadAllText(Path.Combine(Repository.Root, "Grok1Cluster.sln")).Replace('\\', '/');
        var absent = Sources.Concat(ProjectFile.Below("tests")).Select(project => project.Path)
            .Where(path => !solution.Contains($"\"{path}\"", StringComparison.Ordinal));
        Assert.Empty(absent);
    }

    private static HashSet<string> Reachable(ProjectFile project)
    {
        var byName = Sources.ToDictionary(source => source.Name);
        var reached = new HashSet<string>();
        var open = new Queue<string>(project.References);
        while (open.TryDequeue(out var name))
            if (reached.Add(name) && byName.TryGetValue(name, out var next))
                foreach (var reference in next.References)
                    open.Enqueue(reference);
        return reached;
    }
}
