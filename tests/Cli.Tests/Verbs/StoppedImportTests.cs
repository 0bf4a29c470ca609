using System.Runtime.InteropServices;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cli.Tests.Verbs;

/// <summary>Imports that end before they are done.</summary>
public sealed class StoppedImportTests
{
    [Fact]
    public async Task An_import_that_is_killed_at_any_of_ten_moments_resumes_to_the_same_store()
    {
        using var whole = new Workspace("tiny-a");
        var bytes = (await whole.ImportAsync()).GetProperty("bytes").GetInt64();
        var random = new Random(20240317);
        var stoppedInTheMiddle = 0;
        for (var kill = 0; kill < 10; kill++)
        {
            using var workspace = new Workspace("tiny-a");
            using (var import = Grok1Process.Start("import", workspace.Source, workspace.Store))
            {
                await ReachAsync(workspace, (long)(random.NextDouble() * 0.8 * bytes));
                import.Kill();
                await import.WaitForExitAsync();
            }
            if (Directory.Exists(workspace.Store))
                continue;
            stoppedInTheMiddle++;
            await workspace.ImportAsync();
            Assert.False(Directory.Exists(workspace.Staging));
            Assert.Equal(0, (await Grok1Process.RunAsync("verify", workspace.Store)).ExitCode);
            Assert.Equal(Contents(whole.Store), Contents(workspace.Store));
        }
        // An import may be done before its kill arrives, but not most of them.
        Assert.InRange(stoppedInTheMiddle, 5, 10);
    }

    [Theory]
    [InlineData(PosixSignal.SIGINT)]
    [InlineData(PosixSignal.SIGTERM)]
    public async Task A_signal_leaves_a_state_to_go_on_from_and_says_so(PosixSignal signal)
    {
        using var workspace = new Workspace();
        // Large enough that it is not done before the signal arrives; stopped after a few megabytes.
        using var synth = Grok1Process.Start("synth", workspace.Store, "--layers", "8", "--vocabulary", "512");
        await ReachAsync(workspace, 1);
        synth.Signal(signal);
        var result = await synth.WaitForExitAsync();
        Assert.Equal((130, ""), (result.ExitCode, result.Output));
        Assert.Equal(
            $"what is written so far is kept in {workspace.Staging}; the same command goes on from there\ngrok1: interrupted\n",
            result.Error);
        Assert.True(Directory.Exists(workspace.Staging));
        Assert.False(Directory.Exists(workspace.Store));
    }

    [Fact]
    public async Task A_source_that_changed_is_imported_from_the_beginning()
    {
        using var workspace = new Workspace("tiny-a");
        using (var import = Grok1Process.Start("import", workspace.Source, workspace.Store))
        {
            // Some files are finished by then.
            await ReachAsync(workspace, 400_000);
            import.Kill();
            await import.WaitForExitAsync();
        }
        if (Directory.Exists(workspace.Store))
            Directory.Delete(workspace.Store, recursive: true);
        File.SetLastWriteTimeUtc(workspace.Tensor(2), DateTime.UnixEpoch);
        var result = await Grok1Process.RunAsync("import", workspace.Source, workspace.Store);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
    }

    /// <summary>Waits until an import has written this much, or is done.</summary>
    private static async Task ReachAsync(Workspace workspace, long bytes)
    {
        using var limit = new CancellationTokenSource(Grok1Process.DefaultTimeout);
        while (workspace.StagedBytes() < bytes && !Directory.Exists(workspace.Store))
            await Task.Delay(1, limit.Token);
    }

    private static IEnumerable<(string, string)> Contents(string store) =>
        Directory.GetFiles(store, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .Select(file => (Path.GetRelativePath(store, file), Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file)))));
}
