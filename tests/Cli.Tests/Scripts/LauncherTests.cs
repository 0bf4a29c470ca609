using System.Diagnostics;
using System.Runtime.InteropServices;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Scripts;

/// <summary>The launcher <c>./grok1</c> with a stand-in for the build.</summary>
public sealed class LauncherTests : IDisposable
{
    /// <summary>Counts builds, waits on the pipe <c>hold</c> where there is one, fails where there is a file <c>broken</c>.</summary>
    private const string FakeDotnet = """
        echo build >>"$SANDBOX/builds"
        if [[ -p $SANDBOX/hold ]]; then read -r _ <"$SANDBOX/hold"; fi
        if [[ -e $SANDBOX/broken ]]; then echo "error CS1002: ; expected"; exit 1; fi
        output=src/Cli/bin/Release/net10.0
        mkdir -p "$output"
        cp "$SANDBOX/program" "$output/grok1"
        touch -d "1 minute ago" "$output/grok1.stamp"
        """;

    private const string FakeProgram = """
        case "$1" in
          exit) exit "$2" ;;
          hang) echo "pid $$"; exec sleep 1000 ;;
          *) printf '<%s>' "$@" ;;
        esac
        """;

    private readonly ScriptSandbox _sandbox = new("grok1");

    public LauncherTests()
    {
        _sandbox.StandIn("dotnet", FakeDotnet);
        _sandbox.WriteExecutable("program", FakeProgram);
        _sandbox.WriteFile("src/Model/Config/A.cs", "");
        _sandbox.WriteFile("src/Model/Config/B.cs", "");
        _sandbox.WriteFile("Directory.Build.props", "");
        _sandbox.WriteFile("Directory.Packages.props", "");
        _sandbox.WriteFile("global.json", "");
        foreach (var path in Directory.EnumerateFileSystemEntries(_sandbox.Folder, "*", SearchOption.AllDirectories))
            File.SetLastWriteTimeUtc(path, DateTime.UtcNow.AddHours(-1));
    }

    private int Builds => File.ReadAllLines(Path.Combine(_sandbox.Folder, "builds")).Length;

    public void Dispose() => _sandbox.Dispose();

    [Fact]
    public async Task The_first_use_builds_and_the_second_does_not()
    {
        var first = await _sandbox.RunAsync("a b", "", "*");
        Assert.Equal(new Grok1Result(0, "<a b><><*>\n", "building grok1 ...\n"), first);
        var second = await _sandbox.RunAsync("c");
        Assert.Equal(new Grok1Result(0, "<c>\n", ""), second);
        Assert.Equal(1, Builds);
    }

    [Theory]
    [InlineData("src/Model/Config/A.cs")]
    [InlineData("src/Model/Config/dashboard.html")]
    [InlineData("Directory.Packages.props")]
    public async Task A_newer_source_of_any_kind_builds_again(string path)
    {
        await _sandbox.RunAsync("a");
        _sandbox.WriteFile(path, "changed");
        await _sandbox.RunAsync("a");
        Assert.Equal(2, Builds);
    }

    [Fact]
    public async Task A_deleted_source_builds_again()
    {
        await _sandbox.RunAsync("a");
        File.Delete(Path.Combine(_sandbox.Folder, "src/Model/Config/B.cs"));
        await _sandbox.RunAsync("a");
        Assert.Equal(2, Builds);
    }

    [Fact]
    public async Task Build_outputs_are_no_sources()
    {
        await _sandbox.RunAsync("a");
        _sandbox.WriteFile("src/Model/obj/Release/generated.cs", "");
        _sandbox.WriteFile("src/Model/bin/Release/x.dll", "");
        await _sandbox.RunAsync("a");
        Assert.Equal(1, Builds);
    }

    [Fact]
    public async Task A_failed_build_shows_its_output_and_starts_nothing()
    {
        await _sandbox.RunAsync("a");
        _sandbox.WriteFile("broken", "");
        _sandbox.WriteFile("src/Model/Config/A.cs", "changed");
        var result = await _sandbox.RunAsync("a");
        Assert.Equal(new Grok1Result(1, "", "building grok1 ...\nerror CS1002: ; expected\ngrok1: the build failed\n"), result);
    }

    [Fact]
    public async Task Two_first_uses_at_once_build_once()
    {
        await MakePipeAsync();
        using var first = Grok1Process.Start(_sandbox.Command(["first"]));
        await first.WaitForErrorLineAsync(line => line == "building grok1 ...");
        using var second = Grok1Process.Start(_sandbox.Command(["second"]));
        await ReleaseAsync();
        Assert.Equal("<first>\n", (await first.WaitForExitAsync()).Output);
        Assert.Equal(new Grok1Result(0, "<second>\n", ""), await second.WaitForExitAsync());
        Assert.Equal(1, Builds);
    }

    [Fact]
    public async Task The_program_takes_the_place_of_the_launcher_so_signals_and_exit_codes_are_its_own()
    {
        Assert.Equal(5, (await _sandbox.RunAsync("exit", "5")).ExitCode);

        using var running = Grok1Process.Start(_sandbox.Command(["hang"]));
        Assert.Equal($"pid {running.Id}", await running.WaitForOutputLineAsync(line => line.StartsWith("pid ", StringComparison.Ordinal)));
        running.Signal(PosixSignal.SIGTERM);
        Assert.Equal(128 + 15, (await running.WaitForExitAsync()).ExitCode);
    }

    [Fact]
    public async Task It_is_found_through_symbolic_links()
    {
        var link = Path.Combine(_sandbox.Folder, "link");
        File.CreateSymbolicLink(link, Path.Combine(_sandbox.Folder, "grok1"));
        var result = await Grok1Process.RunAsync(_sandbox.Command(["a"], link));
        Assert.Equal("<a>\n", result.Output);
    }

    [Fact]
    public async Task Without_an_sdk_it_says_what_is_needed()
    {
        var start = _sandbox.Command(["a"]);
        start.Environment["PATH"] = Path.Combine(_sandbox.Folder, "tools");
        _sandbox.WriteFile("tools/empty", "");
        foreach (var tool in new[] { "bash", "env", "dirname", "readlink", "find" })
            File.CreateSymbolicLink(Path.Combine(_sandbox.Folder, "tools", tool), $"/usr/bin/{tool}");
        Assert.Equal(new Grok1Result(1, "", "grok1: the .NET 10 SDK is needed to build: no dotnet in PATH\n"), await Grok1Process.RunAsync(start));
    }

    [Fact]
    public async Task The_real_launcher_runs_the_real_program()
    {
        var result = await Grok1Process.RunAsync(
            new ProcessStartInfo(Path.Combine(Repository.Root, "grok1"), ["--version"]) { WorkingDirectory = Path.GetTempPath() }, timeout: TimeSpan.FromMinutes(5));
        Assert.Equal(0, result.ExitCode);
        Assert.Matches(@"^\d+\.\d+\.\d+", result.Output);
    }

    private Task MakePipeAsync() => Grok1Process.RunAsync(new ProcessStartInfo("mkfifo", [Path.Combine(_sandbox.Folder, "hold")]));

    /// <summary>Waits until the build reads from its pipe, and lets it go on.</summary>
    private Task ReleaseAsync() => Grok1Process.RunAsync(new ProcessStartInfo("bash", ["-c", "echo > \"$0\"", Path.Combine(_sandbox.Folder, "hold")]));
}
